//! The plugins that the program carries: part of it, and trusted as it is.

use std::sync::OnceLock;

use watchfire_package::Digest;

mod made {
    //! As they were built in.
    include!(concat!(env!("OUT_DIR"), "/bundled.rs"));
}

/// A plugin that the program carries.
#[derive(Clone, Copy)]
pub struct Bundled {
    /// Its name.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
    /// Its digest.
    pub digest: Digest,
}

/// The plugins that the program carries; hashed once.
pub fn bundled() -> &'static [Bundled] {
    static ALL: OnceLock<Vec<Bundled>> = OnceLock::new();
    ALL.get_or_init(|| {
        let one = |(name, _, component): &(&'static str, &str, &'static [u8])| Bundled {
            name,
            component,
            digest: Digest::of(component),
        };
        made::BUNDLED.iter().map(one).collect()
    })
}

/// The plugin of that name that the program carries.
pub fn bundled_as(name: &str) -> Option<&'static Bundled> {
    bundled().iter().find(|bundled| bundled.name == name)
}
