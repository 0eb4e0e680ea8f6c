//! The methods by which an upstream chooses among its servers.

use limpet_http::pass::HashKey;
use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::directive::prelude::{N0, N1, N12, UPSTREAM, works};
use limpet_kernel::setters::arg;
use limpet_kernel::{Level, value};
use limpet_syntax as syntax;
use limpet_upstream::written::{Method, Until};

use crate::module::Module;
use crate::reading::{Builder, Directive};
use crate::site::Site;

/// The modules that choose a server: nginx's hash, ip_hash, least_conn, least_time, random, Tengine's consistent_hash,
/// vnswrr, iwrr.
pub(crate) struct Balance;

impl Module for Balance {
    const TITLE: &'static str = "Upstream: choosing a server";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = ();
    type Main = ();
}

/// What requests bring to the choice of a server.
pub(crate) fn hash_key(site: &Site<'_>, method: Option<&Method>) -> HashKey {
    match method {
        Some(Method::IpHash) => HashKey::Address,
        Some(Method::Hash { key, .. } | Method::ConsistentHash { key }) => HashKey::Text(site.compile(key)),
        _ => HashKey::None,
    }
}

const ROWS: &[Directive] = &[
    works("ip_hash", UPSTREAM, N0, "Chooses the server by the client's address.", ip_hash).repeatable(),
    works(
        "hash",
        UPSTREAM,
        N12,
        "Chooses the server by a text with variables; with `consistent` on nginx's ring, which moves few keys when \
         servers come and go.",
        hash,
    )
    .repeatable(),
    works(
        "least_conn",
        UPSTREAM,
        N0,
        "Chooses the server with the fewest connections for its weight. Looks at every server.",
        least_conn,
    )
    .repeatable(),
    works(
        "least_time",
        UPSTREAM,
        N12,
        "Chooses the server that answers soonest: `header` or `last_byte`, and `inflight` to count requests that still \
         wait. Looks at every server.",
        least_time,
    ),
    works(
        "random",
        UPSTREAM,
        N0.or(N12),
        "Chooses a server at random; with `two [least_conn]` of two the one with fewer connections.",
        random,
    )
    .repeatable(),
    works(
        "consistent_hash",
        UPSTREAM,
        N1,
        "Chooses the server by a text with variables, on Tengine's ring; an `id=` that is a number places the server.",
        consistent_hash,
    )
    .repeatable(),
    works(
        "vnswrr",
        UPSTREAM,
        N0.or(N1),
        "The order of the weighted round robin, begun by each worker at a place of its own (Tengine). `max_init=` has no \
         effect: nothing is laid out in advance.",
        vnswrr,
    )
    .repeatable(),
    works("iwrr", UPSTREAM, N0, "Interleaved weighted round robin: rounds by weight (Tengine).", iwrr).repeatable(),
];

/// The last method of a block counts, as in nginx, which warns of it (Tengine's consistent_hash does not).
fn set(builder: &mut Builder<'_>, directive: &syntax::Directive, method: Method) {
    if builder.upstream.method.is_some() && !matches!(method, Method::ConsistentHash { .. }) {
        builder.notice(Level::Warn, "load balancing method redefined", directive);
    }
    builder.upstream.method = Some(method);
}

fn ip_hash(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    set(builder, directive, Method::IpHash);
    Ok(())
}

fn hash(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let consistent = match directive.args.get(1) {
        None => false,
        Some(word) if word.bytes == b"consistent" => true,
        Some(word) => return invalid_parameter(word),
    };
    let key = builder.template(arg(directive, 0)?)?;
    set(builder, directive, Method::Hash { key, consistent });
    Ok(())
}

fn consistent_hash(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let key = builder.template(arg(directive, 0)?)?;
    set(builder, directive, Method::ConsistentHash { key });
    Ok(())
}

fn least_conn(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    set(builder, directive, Method::LeastConn);
    Ok(())
}

fn least_time(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let inflight = match directive.args.get(1) {
        None => false,
        Some(word) if word.bytes == b"inflight" => true,
        Some(word) => return unknown(word, &word.text(), &["inflight"]),
    };
    let word = arg(directive, 0)?;
    let until = match word.bytes.as_slice() {
        b"header" => Until::Header,
        b"last_byte" => Until::LastByte,
        _ => return fault(word, format!("invalid value \"{}\"", word.text())),
    };
    set(builder, directive, Method::LeastTime { until, inflight });
    Ok(())
}

fn random(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let method = match directive.args.first() {
        None => Method::Random,
        Some(word) if word.bytes == b"two" => Method::RandomTwo,
        Some(word) => return unknown(word, &word.text(), &["two"]),
    };
    match directive.args.get(1) {
        Some(word) if word.bytes != b"least_conn" => return unknown(word, &word.text(), &["least_conn"]),
        _ => {}
    }
    set(builder, directive, method);
    Ok(())
}

fn vnswrr(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    if let Some(word) = directive.args.first()
        && word.bytes.strip_prefix(b"max_init=").and_then(value::number).is_none()
    {
        return unknown(word, &word.text(), &["max_init="]);
    }
    set(builder, directive, Method::Vnswrr);
    Ok(())
}

fn iwrr(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    set(builder, directive, Method::Iwrr);
    Ok(())
}

fn invalid_parameter<T>(word: &syntax::Word) -> Result<T, Fault> {
    fault(word, format!("invalid parameter \"{}\"", word.text()))
}
