//! A worker: one thread with a runtime of its own, its own carrier and its own idle connections.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use limpet_wire::Address;
use tokio::sync::{Notify, mpsc};

use crate::front::{self, Clients};
use crate::{Handler, Shared};

/// A worker from the outside.
pub struct Handle {
    thread: JoinHandle<()>,
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Listen(Address, Arc<OwnedFd>),
    Close(Address),
    Drain(std::sync::mpsc::Sender<()>),
    Stop,
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
    pub fn listen(&self, address: Address, socket: Arc<OwnedFd>) {
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
    let (counters, kept) = (Arc::clone(&shared.counters), Arc::clone(&shared.kept));
    let clients = Arc::new(Clients::new(index, counters, kept, shared.give_back_memory));
    let handler = Arc::new(Handler::new(shared));
    let mut listening: Vec<(Address, Arc<Notify>)> = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Listen(address, socket) => {
                let closed = Arc::new(Notify::new());
                listening.push((address.clone(), Arc::clone(&closed)));
                tokio::spawn(front::accept(Arc::clone(&clients), Arc::clone(&handler), address, socket, async move {
                    closed.notified().await
                }));
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
                clients.end_idle();
                let _ = done.send(());
            }
            Order::Stop => return,
        }
    }
}
