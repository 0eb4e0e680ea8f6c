//! A thread for what goes on beside requests: active checks, names that are looked up again, and what is fetched of
//! certificates.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use limpet_tls::ocsp::Staple;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::kept::Kept;
use super::members::Upstream;
use super::{check, names, staples};

/// The thread. It ends with the value.
pub struct Background {
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    /// Looks up the names of a configuration that is about to be put in place. The sender is dropped when each was tried.
    Prepare(Vec<Arc<Upstream>>, std::sync::mpsc::Sender<()>),
    /// That configuration is in place. The sender is dropped when its servers know whether they are probed.
    Begin(Vec<Arc<Staple>>, std::sync::mpsc::Sender<()>),
}

/// Longest wait for the first answers of names.
const FIRST_ANSWERS: Duration = Duration::from_secs(2);

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(kept: Arc<Kept>) -> io::Result<Background> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, received) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("background".into()).spawn(move || {
            runtime.block_on(run(kept, received));
            runtime.shutdown_background();
        })?;
        Ok(Background { orders: Some(orders), thread: Some(thread) })
    }

    /// Looks up what a configuration needs before it is put in place; names that nobody answers for are not waited for
    /// longer than two seconds.
    pub fn prepare(&self, upstreams: Vec<Arc<Upstream>>) {
        let (done, hear) = std::sync::mpsc::channel();
        self.order(Order::Prepare(upstreams, done));
        // Whoever is late is looked up while requests are served already.
        let _ = hear.recv_timeout(FIRST_ANSWERS);
    }

    /// The configuration that was prepared is in place, and has these certificates whose status is to be known.
    pub fn begin(&self, staples: Vec<Arc<Staple>>) {
        let (done, hear) = std::sync::mpsc::channel();
        self.order(Order::Begin(staples, done));
        let _ = hear.recv_timeout(FIRST_ANSWERS);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // A thread that is gone takes no orders: that is no error here.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(kept: Arc<Kept>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut lookups = JoinSet::new();
    let mut prepared = JoinSet::new();
    let mut probes = JoinSet::new();
    let mut fetches = JoinSet::new();
    let idle = Arc::clone(&kept);
    let sweeping = tokio::spawn(async move { idle.sweep().await });
    while let Some(order) = orders.recv().await {
        match order {
            Order::Prepare(upstreams, done) => {
                prepared = JoinSet::new();
                for upstream in &upstreams {
                    names::keep_up(upstream, &kept, &done, &mut prepared);
                }
            }
            Order::Begin(staples, done) => {
                // What is still asked for the old configuration must not change what is known for the new one.
                lookups.shutdown().await;
                probes.shutdown().await;
                fetches.shutdown().await;
                lookups = std::mem::take(&mut prepared);
                let upstreams = kept.current();
                upstreams.iter().for_each(|upstream| upstream.begin());
                drop(done);
                for upstream in upstreams.iter().filter(|upstream| upstream.rules.is_some()) {
                    probes.spawn(check::probe(Arc::clone(upstream)));
                }
                for staple in staples {
                    fetches.spawn(staples::keep_fresh(staple));
                }
            }
        }
    }
    sweeping.abort();
    drop((lookups, prepared, probes, fetches));
}
