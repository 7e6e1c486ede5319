//! Whether a file that holds something secret is closed to others, as the system says.

use std::path::Path;

/// Why a file is not safe from others than its owner and its group, to be put after its name; `None` where it is, or where
/// that cannot be asked. Blocks.
#[cfg(unix)]
#[must_use]
pub fn open_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mode = std::fs::metadata(path).ok()?.mode();
    let shown = path.display();
    (mode & 0o027 != 0).then(|| {
        format!(
            "can be read or written by others than its owner (its mode is {:03o}); `chmod 600 {shown}` makes it the \
             owner's alone, `chmod 640 {shown}` readable by its group as well",
            mode & 0o777
        )
    })
}

/// There is no mode to ask for.
#[cfg(not(unix))]
#[must_use]
pub const fn open_to_others(_: &Path) -> Option<String> {
    None
}
