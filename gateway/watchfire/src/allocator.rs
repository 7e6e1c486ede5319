//! The program's allocator, set for one that runs for months in little memory: jemalloc where it can be built, the
//! system's elsewhere. It is told what to do by the environment in which a program starts (the other way, a symbol of the
//! program's, is unsafe code), so the gateway starts once more in the right one. Knows nothing else.
//!
//! The C library's gave back what its worst moment had taken (the start, where 50,000 conditions are judged at once) or
//! kept it, as small blocks happened to fall: with 50,000 signals 184 to 215 MiB at the same time after the start.

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc is told. One arena for all threads, since a few wait for one another seldom and each arena keeps pages
/// of its own; what is free goes back to the system within half a second; threads keep no free blocks beyond 4 KiB.
#[cfg(all(unix, not(target_env = "msvc")))]
const SETTINGS: &str = "narenas:1,dirty_decay_ms:500,muzzy_decay_ms:0,tcache_max:4096";
#[cfg(all(unix, not(target_env = "msvc")))]
const VARIABLE: &str = "_RJEM_MALLOC_CONF";

/// Starts the program anew in the same process, unless somebody has set the allocator already. Goes on as it is when
/// that fails: it costs memory alone.
#[cfg(all(unix, not(target_env = "msvc")))]
pub fn begin_lean() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut anew = std::process::Command::new(program);
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        anew.arg0(name);
    }
    let error = anew.args(arguments).env(VARIABLE, SETTINGS).exec();
    tracing::debug!(%error, "cannot set the allocator; more memory is used than need be");
}

/// Elsewhere there is nothing to be told.
#[cfg(not(all(unix, not(target_env = "msvc"))))]
pub const fn begin_lean() {}

#[cfg(all(test, unix, not(target_env = "msvc")))]
mod tests {
    use super::{SETTINGS, VARIABLE};

    #[test]
    fn the_allocator_takes_all_that_it_is_told() {
        // Once more by itself, where a setting that nobody knows ends it.
        if std::env::var_os(VARIABLE).is_some() {
            assert_eq!(tikv_jemalloc_ctl::opt::narenas::read().unwrap(), 1);
            return;
        }
        let again = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("the_allocator_takes_all_that_it_is_told")
            .env(VARIABLE, format!("{SETTINGS},abort_conf:true"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&again.stdout);
        assert!(
            again.status.success() && told.contains("1 passed"),
            "{told}{}",
            String::from_utf8_lossy(&again.stderr)
        );
    }
}
