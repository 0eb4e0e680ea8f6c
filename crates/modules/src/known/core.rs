//! Rows of nginx's core: the main level, `events`, threads, Tengine's processes and the profiling modules.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

/// Contexts inside the `processes` block. That block is refused, so nothing in it is ever allowed.
const NOWHERE: u32 = 1 << 31;

pub(crate) const ROWS: &[Directive] = &[
    // nginx.c
    no_effect(
        "timer_resolution",
        MAIN,
        N1,
        "Interval between refreshes of the cached clock, in place of one refresh per event.",
        &[Time],
    ),
    no_effect(
        "lock_file",
        MAIN,
        N1,
        "Path of the file behind the accept mutex on systems without atomic operations.",
        &[Text],
    ),
    no_effect(
        "debug_points",
        MAIN,
        N1,
        "What a process does when it meets an internal error: `stop` for a debugger or `abort` with a core.",
        &[Word(&["stop", "abort"])],
    ),
    no_effect("worker_priority", MAIN, N1, "Scheduling priority (nice value) of the worker processes.", &[Integer]),
    no_effect(
        "worker_cpu_affinity",
        MAIN,
        MORE1,
        "Processors on which each worker process may run, as bit masks or `auto`.",
        &[Or("auto", &CpuMask), CpuMask],
    ),
    no_effect(
        "worker_rlimit_core",
        MAIN,
        N1,
        "Largest core file of a worker process, in bytes (`RLIMIT_CORE`).",
        &[Offset],
    ),
    no_effect(
        "working_directory",
        MAIN,
        N1,
        "Folder in which a worker process runs and leaves its core files.",
        &[Text],
    ),
    no_effect("env", MAIN, N1, "Environment variable that worker processes keep, or set as `NAME=value`.", &[Text])
        .repeatable(),
    refused("load_module", MAIN, N1, "Brings a dynamic module in from a shared object."),
    // nginx.c, Tengine's additions
    refused(
        "master_env",
        MAIN,
        N1,
        "Sets an environment variable of the master process (Tengine), such as the folder of its DNS backup.",
    ),
    no_effect("pipe_set_size", MAIN, N1, "Capacity of the pipes to log writer processes (Tengine), in bytes.", &[Size]),
    // ngx_regex.c
    no_effect(
        "pcre_jit",
        MAIN,
        FLAG,
        "Just-in-time compilation of the regular expressions found in the configuration.",
        &[Flag],
    ),
    // ngx_log.c, Tengine's addition
    no_effect(
        "xquic_log",
        MAIN,
        MORE1,
        "File and severity of the log that the xquic library writes (Tengine).",
        &[Text, Kind("log level", &["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"])],
    ),
    // ngx_thread_pool.c
    no_effect(
        "thread_pool",
        MAIN,
        N23,
        "Names a pool of threads for file operations; thread count and queue length.",
        &[Text, Parameter(&[("threads=", Positive), ("max_queue=", Number), ("", Text)])],
    )
    .repeatable(),
    // ngx_event.c
    no_effect(
        "use",
        EVENTS,
        N1,
        "Readiness mechanism: `epoll`, `kqueue`, `poll`, `select` and others.",
        &[Kind("event type", &["epoll", "poll", "select", "kqueue", "eventport", "/dev/poll", "rtsig"])],
    ),
    no_effect(
        "multi_accept",
        EVENTS,
        FLAG,
        "Takes all waiting connections at once rather than one per event.",
        &[Flag],
    ),
    no_effect("accept_mutex", EVENTS, FLAG, "Lets worker processes take turns at accepting connections.", &[Flag]),
    no_effect(
        "accept_mutex_delay",
        EVENTS,
        N1,
        "Pause before a worker tries again for the accept mutex it did not get.",
        &[Time],
    ),
    no_effect(
        "debug_connection",
        EVENTS,
        N1,
        "Debug log for connections from the given address, network or host name only.",
        &[Text],
    )
    .repeatable(),
    // ngx_epoll_module.c
    no_effect("epoll_events", EVENTS, N1, "Number of events fetched by one `epoll_wait` call.", &[Number]),
    no_effect(
        "worker_aio_requests",
        EVENTS,
        N1,
        "Outstanding asynchronous file operations of one worker process under `epoll`.",
        &[Number],
    ),
    // ngx_kqueue_module.c
    no_effect("kqueue_changes", EVENTS, N1, "Number of changes handed to the kernel by one `kevent` call.", &[Number]),
    no_effect("kqueue_events", EVENTS, N1, "Number of events fetched by one `kevent` call.", &[Number]),
    // ngx_devpoll_module.c
    no_effect("devpoll_changes", EVENTS, N1, "Number of changes handed to `/dev/poll` at a time.", &[Number]),
    no_effect("devpoll_events", EVENTS, N1, "Number of events fetched from `/dev/poll` at a time.", &[Number]),
    // ngx_eventport_module.c
    no_effect(
        "eventport_events",
        EVENTS,
        N1,
        "Number of events fetched from a Solaris event port at a time.",
        &[Number],
    ),
    // ngx_rtsig_module.c
    no_effect("rtsig_signo", EVENTS, N1, "First signal number that the `rtsig` event method occupies.", &[Number]),
    no_effect(
        "rtsig_overflow_events",
        EVENTS,
        N1,
        "Events fetched per `poll` call while an overflown signal queue is recovered.",
        &[Number],
    ),
    no_effect(
        "rtsig_overflow_test",
        EVENTS,
        N1,
        "Events handled between two looks at the signal queue during recovery.",
        &[Number],
    ),
    no_effect(
        "rtsig_overflow_threshold",
        EVENTS,
        N1,
        "How full the signal queue may be during recovery, as a fraction of its size.",
        &[Number],
    ),
    // ngx_iocp_module.c
    no_effect("iocp_threads", EVENTS, N1, "Number of threads that serve the Windows completion port.", &[Number]),
    no_effect("post_acceptex", EVENTS, N1, "Number of `AcceptEx` calls posted ahead of time.", &[Number]),
    no_effect(
        "acceptex_read",
        EVENTS,
        FLAG,
        "Reads the first bytes of a connection together with `AcceptEx`.",
        &[Flag],
    ),
    // ngx_event_openssl.c
    at_default("ssl_engine", MAIN, N1, "Names the OpenSSL engine that drives a hardware accelerator.", &[]),
    // ngx_event_openssl_cache.c
    no_effect(
        "ssl_object_cache_inheritable",
        MAIN,
        FLAG,
        "Carries unchanged certificates, keys and CRLs from one configuration to the next on reload.",
        &[Flag],
    ),
    // ngx_google_perftools_module.c
    no_effect(
        "google_perftools_profiles",
        MAIN,
        N1,
        "Path prefix of the profiles that gperftools writes for each worker process.",
        &[Text],
    ),
    // ngx_backtrace_module.c (Tengine)
    no_effect(
        "backtrace_log",
        MAIN,
        N1,
        "File that receives the call stack of a crashing worker process (Tengine).",
        &[Text],
    )
    .repeatable(),
    no_effect(
        "backtrace_max_stack_size",
        MAIN,
        N1,
        "Deepest call stack that is written after a crash, in frames (Tengine).",
        &[Number],
    ),
    // ngx_proc.c (Tengine)
    refused("processes", MAIN, N0.block(), "Block of auxiliary processes that run beside the workers (Tengine)."),
    refused("process", NOWHERE, N1.block(), "Block that describes one auxiliary process inside `processes` (Tengine)."),
    refused("count", NOWHERE, N1, "How many copies of an auxiliary process are started (Tengine)."),
    refused("priority", NOWHERE, N1, "Scheduling priority (nice value) of an auxiliary process (Tengine)."),
    refused("delay_start", NOWHERE, N1, "Wait before an auxiliary process starts (Tengine)."),
    refused("respawn", NOWHERE, FLAG, "Starts an auxiliary process again after it has died (Tengine)."),
    // ngx_slab_stat (Tengine)
    refused("slab_stat", LOCATION, N0, "Serves a page on the use of shared memory zones (Tengine)."),
    // ngx_debug_pool, ngx_debug_conn, ngx_debug_timer (Tengine)
    refused("debug_pool", LOCATION, N0, "Serves a page on the memory pools of the answering worker process (Tengine)."),
    refused(
        "debug_conn",
        LOCATION,
        N0,
        "Serves a page on the open connections of the answering worker process (Tengine).",
    ),
    refused(
        "debug_timer",
        LOCATION,
        N0,
        "Serves a page on the running timers of the answering worker process (Tengine).",
    ),
    // NGINX Plus
    refused("mgmt", MAIN, N0.block(), "Block for licensing and usage reports (NGINX Plus)."),
];
