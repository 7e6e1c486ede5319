//! The contract as the component model sees it: generated, never written by hand.
#![allow(missing_docs, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "../../wit/0.1.0",
    inline: "
        package watchfire:guest;
        world guest {
            include watchfire:detector/minimal@0.1.0;
            export watchfire:detector/state@0.1.0;
        }
    ",
    world: "watchfire:guest/guest",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "watchfire_detector::bindings",
    export_macro_name: "export_component",
});
