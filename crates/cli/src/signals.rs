//! What the command does when the system interrupts it.

/// Removes unfinished files and ends with status 130 when the user or the system asks to stop, and lets a write beyond
/// the file size limit come back as an error.
#[cfg(unix)]
pub(crate) fn install() {
    use std::sync::{Arc, atomic::AtomicBool};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

    // A command that cannot watch for signals still works, so a failure here is not worth a message.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else {
        return;
    };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            crate::atomic::abandon_all();
            std::process::exit(130);
        }
    });
}

/// Signals are left to the system here.
#[cfg(not(unix))]
pub(crate) fn install() {}
