//! What the command does when the system interrupts it.

use std::sync::atomic::{AtomicBool, Ordering};

/// The command ends by itself when [`is_interrupted`] says so.
static ENDS_BY_ITSELF: AtomicBool = AtomicBool::new(false);
static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first interruption is left to whoever asks [`is_interrupted`]; the second one ends the command.
pub(crate) fn finish_on_interrupt() {
    ENDS_BY_ITSELF.store(true, Ordering::Relaxed);
}

/// Whether the user or the system has asked to stop.
pub(crate) fn is_interrupted() -> bool {
    IS_INTERRUPTED.load(Ordering::Relaxed)
}

/// Removes unfinished files, brings the terminal into order and ends with status 130 when the user or the system asks to
/// stop, and lets a write beyond the file size limit come back as an error.
#[cfg(unix)]
pub(crate) fn install() {
    use std::sync::Arc;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

    // A command that cannot watch for signals still works, so a failure here is not worth a message.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else {
        return;
    };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let is_first = !IS_INTERRUPTED.swap(true, Ordering::Relaxed);
            if is_first && ENDS_BY_ITSELF.load(Ordering::Relaxed) {
                continue;
            }
            crate::stream::leave_terminal();
            crate::atomic::abandon_all();
            std::process::exit(130);
        }
    });
}

/// Signals are left to the system here.
#[cfg(not(unix))]
pub(crate) fn install() {}
