//! A worker: one thread with a runtime of its own, its own Pingora proxy and its own idle connections.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use limpet_config::Address;
use limpet_config::model::LogLevel;
use parking_lot::Mutex;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use tokio::sync::{Notify, mpsc, watch};

use crate::front::{self, Conn};
use crate::http::Hooks;
use crate::runtime::Shared;
use crate::slots::Slots;

/// What a worker thread's tasks share.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) proxy: Arc<HttpProxy<Hooks>>,
    /// Pingora wants one; connections end by the front's own decision.
    pub(crate) shutdown: ShutdownWatch,
    pub(crate) slots: Arc<Slots>,
    /// The connections being served, by their number.
    connections: Mutex<HashMap<u64, Weak<Conn>>>,
}

/// Keeps a connection in the worker's list, and in the count of all, whatever way its task ends.
pub(crate) struct Open {
    worker: Arc<Worker>,
    number: u64,
}

impl Open {
    pub(crate) fn new(worker: &Arc<Worker>, conn: &Arc<Conn>) -> Self {
        worker.shared.open.fetch_add(1, Ordering::AcqRel);
        worker.connections.lock().insert(conn.number, Arc::downgrade(conn));
        Open { worker: Arc::clone(worker), number: conn.number }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.connections.lock().remove(&self.number);
        self.worker.shared.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A worker from the outside.
pub struct Handle {
    thread: JoinHandle<()>,
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Listen(Address, OwnedFd),
    Close(Address),
    Drain(std::sync::mpsc::Sender<()>),
    Stop,
}

/// More servers than any upstream has: our own hooks say when trying ends.
const MAX_TRIES: usize = 1_000_000;
/// How soon it is looked again whether there is room for a client, if nothing says so.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often idle backend connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// The most idle connections that are given up at a time, and which part of them (nginx).
const GIVEN_UP: usize = 32;
const GIVEN_UP_PART: usize = 8;

impl Worker {
    /// Sees to it that another connection is within `worker_connections`: idle ones are given up when few places are left,
    /// and when there is none, it waits for one.
    pub(crate) async fn make_room(&self) {
        loop {
            let most = self.shared.worker_connections.load(Ordering::Relaxed);
            let free = most.saturating_sub(self.slots.used());
            if free > most / 16 {
                return;
            }
            if self.give_up_idle() > 0 {
                let message = format!("{most} worker_connections are not enough, reusing connections");
                self.slots.tell(LogLevel::Warn, &message);
            } else if free == 0 {
                self.slots.tell(LogLevel::Alert, &format!("{most} worker_connections are not enough"));
            }
            if free > 0 {
                return;
            }
            self.slots.freed(LOOK_AGAIN).await;
        }
    }

    /// Ends some of the connections that wait for a request or are being closed, those first that have done so for longest.
    /// Where there is none, connections kept to backends go. How many there were.
    pub(crate) fn give_up_idle(&self) -> usize {
        let mut spare: Vec<(u64, Arc<Conn>)> = {
            let connections = self.connections.lock();
            connections
                .values()
                .filter_map(Weak::upgrade)
                .filter_map(|conn| Some((conn.spare_since()?, conn)))
                .collect()
        };
        let count = spare.len().min((spare.len() / GIVEN_UP_PART).clamp(1, GIVEN_UP));
        if count == 0 {
            let pools: Vec<_> = self.shared.pools.lock().values().filter_map(Weak::upgrade).collect();
            return pools.iter().map(|pools| usize::from(pools.give_up_oldest(self.index))).sum();
        }
        spare.select_nth_unstable_by_key(count - 1, |(since, _)| *since);
        spare.iter().take(count).for_each(|(_, conn)| conn.give_up());
        count
    }

    /// Idle connections end; those with a request end after their response.
    fn end_idle_connections(&self) {
        for conn in self.connections.lock().values().filter_map(Weak::upgrade) {
            conn.end_if_idle();
        }
    }
}

impl Handle {
    /// Starts a worker thread.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(index: usize, shared: Arc<Shared>) -> io::Result<Handle> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, received) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name(format!("worker {index}")).spawn(move || {
            runtime.block_on(run(index, shared, received));
            // Requests that are still open end here.
            runtime.shutdown_background();
        })?;
        Ok(Handle { thread, orders })
    }

    /// Accepts connections from a listening socket.
    pub fn listen(&self, address: Address, socket: OwnedFd) {
        // A worker that is gone takes no orders; its thread's end says the rest.
        let _ = self.orders.send(Order::Listen(address, socket));
    }

    /// Accepts no more connections on an address; those that are open go on.
    pub fn close(&self, address: &Address) {
        let _ = self.orders.send(Order::Close(address.clone()));
    }

    /// Accepts nothing more; idle connections end at once, others after their response.
    /// The receiver hears of it when nothing more is accepted.
    pub fn drain(&self) -> std::sync::mpsc::Receiver<()> {
        let (done, hear) = std::sync::mpsc::channel();
        let _ = self.orders.send(Order::Drain(done));
        hear
    }

    /// Ends the worker with all its connections.
    pub fn stop(self) {
        let _ = self.orders.send(Order::Stop);
        let _ = self.thread.join();
    }
}

async fn run(index: usize, shared: Arc<Shared>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let conf = ServerConf { max_retries: MAX_TRIES, ..ServerConf::default() };
    let (_keep, shutdown) = watch::channel(false);
    let worker = Arc::new(Worker {
        index,
        proxy: Arc::new(http_proxy(&Arc::new(conf), Hooks)),
        shutdown,
        slots: Arc::default(),
        connections: Mutex::default(),
        shared,
    });
    tokio::spawn(sweep(Arc::clone(&worker)));
    let mut listening: Vec<(Address, Arc<Notify>)> = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Listen(address, socket) => {
                let closed = Arc::new(Notify::new());
                listening.push((address.clone(), Arc::clone(&closed)));
                tokio::spawn(front::accept(
                    Arc::clone(&worker),
                    address,
                    socket,
                    async move { closed.notified().await },
                ));
            }
            Order::Close(address) => listening.retain(|(other, closed)| {
                let keep = *other != address;
                if !keep {
                    closed.notify_one();
                }
                keep
            }),
            Order::Drain(done) => {
                for (_, closed) in listening.drain(..) {
                    closed.notify_one();
                }
                // Let the acceptors see it: they close their sockets, and what they have accepted is in the list.
                tokio::task::yield_now().await;
                worker.end_idle_connections();
                let _ = done.send(());
            }
            Order::Stop => return,
        }
    }
}

/// Looks after idle connections to backends, as long as there are any.
async fn sweep(worker: Arc<Worker>) {
    let mut left = 0;
    loop {
        if left == 0 {
            worker.slots.kept().await;
        }
        tokio::time::sleep(SWEEP).await;
        let pools: Vec<_> = worker.shared.pools.lock().values().filter_map(Weak::upgrade).collect();
        left = pools.iter().map(|pools| pools.sweep(worker.index)).sum();
    }
}

impl Shared {
    /// From now on no connection is kept after its response. Workers are told by [`Handle::drain`].
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Connections that are being served.
    pub fn open_connections(&self) -> u64 {
        self.open.load(Ordering::Acquire)
    }
}
