//! The contract as the component model sees it: generated, never written by hand. Which of its interfaces a component
//! has is for [`crate::export!`] to say; `watchfire plugin pack` reads it from the names of what is exported.
#![allow(missing_docs, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "../../wit/1.0.0",
    inline: "
        package watchfire:sdk;
        world sdk {
            include watchfire:detector/full@1.0.0;
        }
    ",
    world: "watchfire:sdk/sdk",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "watchfire_detector::bindings",
    export_macro_name: "export_component",
});
