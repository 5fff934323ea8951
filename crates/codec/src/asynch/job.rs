//! A job on the threads of a pool whose result is a future.

use std::any::Any;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rayon::ThreadPool;

/// What a job on another thread will give. Polling looks and never waits.
pub(super) struct Job<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

struct Shared<T> {
    /// A panic of the job goes on in whoever asks for its result.
    result: Option<Result<T, Box<dyn Any + Send>>>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Job<T> {
    /// Starts `work` on a thread of `pool`, or of the global pool.
    pub(super) fn start(
        pool: Option<&ThreadPool>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            result: None,
            waker: None,
        }));
        let theirs = Arc::clone(&shared);
        let run = move || {
            let result = panic::catch_unwind(AssertUnwindSafe(work));
            let mut shared = lock(&theirs);
            shared.result = Some(result);
            let waker = shared.waker.take();
            drop(shared);
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        match pool {
            Some(pool) => pool.spawn(run),
            None => rayon::spawn(run),
        }
        Self { shared }
    }
}

impl<T> Future for Job<T> {
    type Output = T;

    /// # Panics
    /// Where the job did.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut shared = lock(&self.shared);
        match shared.result.take() {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(payload)) => {
                drop(shared);
                panic::resume_unwind(payload)
            }
            None => {
                match &mut shared.waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic happens under the lock.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread::{self, Thread};

    use super::*;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// The smallest executor there is.
    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    }

    #[test]
    fn polling_does_not_wait_for_the_job_and_the_job_wakes_its_poller() {
        let (go, may_go) = mpsc::channel();
        let mut job = Job::start(None, move || may_go.recv().map(|()| thread::current().id()));
        let mut context = Context::from_waker(Waker::noop());
        // The job cannot end before this thread lets it, so a poll that waits would never return.
        assert!(Pin::new(&mut job).poll(&mut context).is_pending());
        go.send(()).unwrap();
        assert_ne!(block_on(job).unwrap(), thread::current().id());
    }

    #[test]
    #[should_panic(expected = "inside the job")]
    fn a_panic_of_the_job_is_one_of_its_poller() {
        block_on(Job::start(None, || -> () { panic!("inside the job") }));
    }
}
