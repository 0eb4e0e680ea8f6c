//! From the configuration to the runtime: files opened, patterns and texts compiled, names turned into references.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use limpet_http::pass::{Bind, BindTo, HashKey, HttpVersion, NextUpstream, Pass, SliceSize, Slices};
use limpet_http::recode::Map;
use limpet_http::route::host::HostMap;
use limpet_http::route::location::Level;
use limpet_http::runtime::{
    AddHeader, CheckStatus, Condition, Content, Listening, Location, LocationSettings, Rewrite, Runtime, Server,
    ServerTokens, Shared, Types,
};
use limpet_http::{AccessLog, Charsets, Escape, LineFormat, Named, Text, registry};
use limpet_log::{ErrorLog, LogFile, LogLevel};
use limpet_message::request::HeadLimits;
use limpet_message::response::MAX_HEAD;
use limpet_sticky::Policy;
use limpet_text::{Part, Regex, Template};
use limpet_upstream::{Kept, Upstream, sessions_on_down_servers, written};
use limpet_wire::Address;
use nix::sys::resource::{Resource, getrlimit};

use crate::model::{self, Matcher};

/// What the program found out before: where relative paths begin, and what the command line says.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The prefix of `-p`.
    pub prefix: PathBuf,
    /// Worker threads.
    pub workers: usize,
    /// The log of `-e`, for a main level without `error_log`.
    pub error_log: Option<PathBuf>,
}

/// A configuration that can't be put to work, in nginx's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

/// The runtime, the error log for messages that belong to no request, and what is worth telling.
pub type Built = (Runtime, Arc<ErrorLog>, Remarks);

/// What building found worth telling.
pub type Remarks = Vec<(LogLevel, String)>;

/// A text of the configuration, whose variables were checked when it was read.
fn compile(template: &Template) -> Text {
    Text::new(template, registry())
}

/// Makes the runtime, and the error log for messages that belong to no request.
///
/// # Errors
/// A log file that can't be opened, a pattern that PCRE does not take.
pub fn build(config: &model::Config, environment: &Environment, shared: &Shared) -> Result<Built, BuildError> {
    let mut builder = RuntimeBuilder {
        environment,
        shared,
        formats: HashMap::new(),
        remarks: Vec::new(),
        upstreams: Vec::new(),
        charsets: (Arc::new([]), Arc::new([])),
        keeps_bodies: config.http.as_ref().is_some_and(|http| http.mentions_request_body),
    };
    let default_log = builder.main_error_log(config)?;
    shared.kept.forget_what_is_gone();
    let worker_connections = config.main.worker_connections as usize;
    builder.remarks.extend(beyond_descriptors(worker_connections, config.main.worker_rlimit_nofile));
    let mut runtime = Runtime { worker_connections, ..Runtime::default() };
    if let Some(http) = &config.http {
        builder.compile_formats(http);
        let maps = http.charset_maps.iter().map(|map| Arc::new(Map::new(map)));
        builder.charsets = (http.charsets.as_slice().into(), maps.collect());
        builder.upstreams = http
            .upstreams
            .iter()
            .map(|upstream| Balanced::new(upstream, http, environment.workers, &shared.kept))
            .collect();
        let down = builder.upstreams.iter().flat_map(|balanced| sessions_on_down_servers(&balanced.upstream));
        let down: Vec<_> = down.collect();
        builder.remarks.extend(down);
        for server in &http.servers {
            runtime.servers.push(Arc::new(builder.server(server, &default_log)?));
        }
        runtime.listening = listening(&http.servers)?;
        runtime.upstreams = builder.upstreams.into_iter().map(|balanced| balanced.upstream).collect();
    }
    Ok((runtime, default_log, builder.remarks))
}

/// nginx's warning of more connections than there can be descriptors.
fn beyond_descriptors(connections: usize, wanted: Option<u64>) -> Option<(LogLevel, String)> {
    let most = wanted.or_else(|| Some(getrlimit(Resource::RLIMIT_NOFILE).ok()?.0))?;
    let text = format!("{connections} worker_connections exceed open file resource limit: {most}");
    (connections as u64 > most).then_some((LogLevel::Warn, text))
}

/// An upstream, and the texts by which requests choose in it.
struct Balanced {
    upstream: Arc<Upstream>,
    key: Arc<HashKey>,
    slices: Option<Arc<Slices>>,
}

impl Balanced {
    fn new(written: &model::Upstream, http: &model::Http, workers: usize, kept: &Kept) -> Balanced {
        let key = match &written.method {
            Some(written::Method::IpHash) => HashKey::Address,
            Some(written::Method::Hash { key, .. } | written::Method::ConsistentHash { key }) => {
                HashKey::Text(compile(key))
            }
            _ => HashKey::None,
        };
        Balanced {
            upstream: Arc::new(Upstream::new(written, http.resolver.as_ref(), http.resolver_timeout, workers, kept)),
            key: Arc::new(key),
            slices: written.keepalive.slices.as_ref().map(|written| Arc::new(slices(written))),
        }
    }
}

fn slices(slices: &written::Slices) -> Slices {
    Slices {
        key: compile(&slices.key),
        most: match &slices.most {
            written::SliceSize::Number(most) => SliceSize::Number(*most),
            written::SliceSize::Variable(text) => SliceSize::Text(compile(text)),
        },
        key_length: slices.key_length as usize,
    }
}

struct RuntimeBuilder<'b> {
    environment: &'b Environment,
    shared: &'b Shared,
    formats: HashMap<String, Arc<LineFormat>>,
    remarks: Remarks,
    upstreams: Vec<Balanced>,
    /// The character sets that the file names, and the maps between them.
    charsets: (Arc<[String]>, Arc<[Arc<Map>]>),
    /// Somebody asks for `$request_body`.
    keeps_bodies: bool,
}

/// nginx's predefined format.
const COMBINED: &[u8] =
    b"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

impl RuntimeBuilder<'_> {
    fn main_error_log(&self, config: &model::Config) -> Result<Arc<ErrorLog>, BuildError> {
        let log = match (&config.main.error_log, &self.environment.error_log) {
            (Some(logs), _) => return self.error_log(logs),
            (None, Some(path)) => path.clone(),
            (None, None) => PathBuf::from("logs/error.log"),
        };
        let target = match log.to_str() {
            Some("stderr") => model::ErrorLogTarget::Stderr,
            _ => model::ErrorLogTarget::File(log),
        };
        self.error_log(&[model::ErrorLog { target, level: LogLevel::Error }])
    }

    fn error_log(&self, logs: &[model::ErrorLog]) -> Result<Arc<ErrorLog>, BuildError> {
        let open = |log: &model::ErrorLog| {
            let file = match &log.target {
                model::ErrorLogTarget::File(path) => self.open_log(path)?,
                model::ErrorLogTarget::Stderr => {
                    let file =
                        LogFile::stderr().map_err(|error| BuildError(format!("dup() of stderr failed: {error}")))?;
                    Arc::new(file)
                }
            };
            Ok((file, log.level))
        };
        Ok(Arc::new(ErrorLog::new(logs.iter().map(open).collect::<Result<_, BuildError>>()?)))
    }

    fn open_log(&self, path: &Path) -> Result<Arc<LogFile>, BuildError> {
        self.shared.log_files.open(&self.environment.prefix.join(path)).map_err(BuildError)
    }

    fn compile_formats(&mut self, http: &model::Http) {
        // The constant parses: its test says so.
        let combined = Template::parse(COMBINED).unwrap_or_default();
        let combined = model::LogFormat { name: "combined".into(), escape: Escape::Default, line: combined };
        for format in http.log_formats.iter().chain([&combined]) {
            let compiled = LineFormat { line: compile(&format.line), escape: format.escape };
            self.formats.insert(format.name.clone(), Arc::new(compiled));
        }
    }

    fn server(&self, server: &model::Server, default_log: &Arc<ErrorLog>) -> Result<Server, BuildError> {
        let mut locations = Vec::new();
        let mut inner = HashMap::new();
        let top = self.level(&server.locations, default_log, &mut locations, &mut inner)?;
        let mut named = HashMap::new();
        for location in &server.locations {
            if let Matcher::Named(name) = &location.matcher {
                named.entry(name.as_bytes().to_vec()).or_insert(locations.len());
                locations.push(Arc::new(self.location(location, default_log)?));
            }
        }
        let outside = Location {
            prefix_length: 0,
            regex: None,
            steps: Vec::new(),
            content: match &server.content {
                model::Content::CheckStatus(format) => {
                    Content::CheckStatus(CheckStatus { format: *format, kept: Arc::clone(&self.shared.kept) })
                }
                _ => Content::Files,
            },
            ifs: Vec::new(),
            settings: self.settings(&server.settings, default_log)?,
        };
        Ok(Server {
            name: server.names.first().map(shown_name).unwrap_or_default(),
            steps: self.steps(&server.steps)?,
            locations,
            top,
            named,
            inner,
            outside: Arc::new(outside),
            client_header_timeout: milliseconds(server.settings.client_header_timeout, 60_000),
            head_limits: head_limits(&server.settings),
        })
    }

    fn level(
        &self,
        siblings: &[model::Location],
        default_log: &Arc<ErrorLog>,
        locations: &mut Vec<Arc<Location>>,
        inner: &mut HashMap<usize, Level>,
    ) -> Result<Level, BuildError> {
        let mut level = Level::default();
        for location in siblings.iter().filter(|location| !matches!(location.matcher, Matcher::Named(_))) {
            let compiled = self.location(location, default_log)?;
            let redirects = matches!(compiled.content, Content::Proxy(_));
            locations.push(Arc::new(compiled));
            let index = locations.len() - 1;
            match &location.matcher {
                Matcher::Exact(uri) => level.add_exact(uri, index),
                Matcher::Prefix { prefix, no_regex } => {
                    level.add_prefix(prefix, index, *no_regex, redirects && prefix.ends_with(b"/"));
                }
                Matcher::Regex { pattern, caseless } => level.add_regex(regex(pattern, *caseless)?, index),
                Matcher::Named(_) | Matcher::If => {}
            }
            if !location.locations.is_empty() {
                let nested = self.level(&location.locations, default_log, locations, inner)?;
                inner.insert(index, nested);
            }
        }
        level.finish();
        Ok(level)
    }

    fn location(&self, location: &model::Location, default_log: &Arc<ErrorLog>) -> Result<Location, BuildError> {
        let ifs = location.ifs.iter().map(|block| Ok(Arc::new(self.location(block, default_log)?)));
        Ok(Location {
            prefix_length: match &location.matcher {
                Matcher::Exact(uri) | Matcher::Prefix { prefix: uri, .. } => uri.len(),
                _ => 0,
            },
            regex: match &location.matcher {
                Matcher::Regex { pattern, caseless } => Some(regex(pattern, *caseless)?),
                _ => None,
            },
            steps: self.steps(&location.steps)?,
            content: match &location.content {
                model::Content::Files => Content::Files,
                model::Content::CheckStatus(format) => {
                    Content::CheckStatus(CheckStatus { format: *format, kept: Arc::clone(&self.shared.kept) })
                }
                model::Content::Proxy(pass) => match self.pass(pass, location) {
                    Some(pass) => Content::Proxy(Box::new(pass)),
                    None => return Err(BuildError(format!("no upstream for the location at {}", location.place))),
                },
            },
            ifs: ifs.collect::<Result<_, BuildError>>()?,
            settings: self.settings(&location.settings, default_log)?,
        })
    }

    fn pass(&self, pass: &model::ProxyPass, location: &model::Location) -> Option<Pass> {
        let settings = &location.settings;
        let set_header = settings.proxy_set_header.iter().flat_map(|headers| headers.iter());
        // A location's URI is put in place of its own prefix only: in the block of an `if` the client's own is passed on.
        let uri = match &pass.uri {
            model::PassUri::Replace(uri) if location.matcher != Matcher::If => Some(uri.clone()),
            _ => None,
        };
        let Balanced { upstream, key, slices } = self.upstreams.get(pass.target.0)?;
        let mentions_body = |(_, value): &(String, Template)| value.variables().any(|name| name == "request_body");
        // The policy of the upstream that is asked; one that has none leaves it to the one that the directive names.
        let hides = settings.session_sticky_hide_cookie.as_ref().and_then(|name| {
            let named = || self.upstreams.iter().find(|other| *other.upstream.name == **name)?.upstream.sticky.as_ref();
            upstream.sticky.as_ref().or_else(named).cloned()
        });
        Some(Pass {
            upstream: Arc::clone(upstream),
            key: Arc::clone(key),
            slices: slices.clone(),
            hides: hides.filter(Policy::hides),
            redirect: match settings.proxy_redirect {
                Some(model::ProxyRedirect::Off) => None,
                _ => Some(redirect(pass, location)),
            },
            uri,
            host: pass.host.clone(),
            port: pass.port.clone(),
            reads_body: set_header.clone().any(mentions_body),
            set_header: set_header.map(|(name, value)| (name.clone(), compile(value))).collect(),
            http_version: settings.proxy_http_version.unwrap_or(HttpVersion::Http11),
            connect_timeout: milliseconds(settings.proxy_connect_timeout, 60_000),
            read_timeout: milliseconds(settings.proxy_read_timeout, 60_000),
            send_timeout: milliseconds(settings.proxy_send_timeout, 60_000),
            next_upstream: settings.proxy_next_upstream.unwrap_or(NextUpstream::DEFAULT),
            next_tries: match settings.proxy_next_upstream_tries {
                None | Some(0) => usize::MAX,
                Some(tries) => usize::try_from(tries).unwrap_or(usize::MAX),
            },
            next_timeout: milliseconds(settings.proxy_next_upstream_timeout, 0),
            allow: settings.proxy_allow_upstream.iter().flat_map(|texts| texts.iter()).map(compile).collect(),
            takes_back: !settings
                .proxy_ignore_headers
                .as_ref()
                .is_some_and(|ignored| ignored.contains(&model::BackendHeader::Redirect)),
            bind: settings.proxy_bind.as_ref().and_then(bind),
            most_head: usize::try_from(settings.proxy_buffer_size.unwrap_or(0)).unwrap_or(usize::MAX).max(MAX_HEAD),
            socket_keepalive: settings.proxy_socket_keepalive.unwrap_or(false),
        })
    }

    fn settings(
        &self,
        settings: &model::Settings,
        default_log: &Arc<ErrorLog>,
    ) -> Result<LocationSettings, BuildError> {
        let html = || model::Root { path: Template::plain(b"html"), alias: false };
        let root = settings.root.clone().unwrap_or_else(html);
        let access_log = match &settings.access_log {
            Some(logs) => logs.iter().map(|log| self.access_log(log)).collect::<Result<_, _>>()?,
            None => {
                let log =
                    model::AccessLog { path: "logs/access.log".into(), format: "combined".into(), condition: None };
                vec![self.access_log(&log)?]
            }
        };
        let add_header = settings.add_header.iter().flat_map(|headers| headers.iter());
        let keepalive = settings.keepalive_timeout;
        Ok(LocationSettings {
            internal: settings.internal.unwrap_or(false),
            root: compile(&self.below_prefix(&root.path)),
            alias: root.alias,
            index: match &settings.index {
                Some(files) => files.iter().map(compile).collect(),
                None => vec![compile(&Template::plain(b"index.html"))],
            },
            types: settings.types.clone().unwrap_or_else(|| Arc::new(default_types())),
            default_type: settings.default_type.clone().unwrap_or_else(|| b"text/plain".to_vec()),
            keepalive_timeout: milliseconds(keepalive.map(|keepalive| keepalive.timeout), 75_000),
            keepalive_header: keepalive.and_then(|keepalive| keepalive.header),
            keepalive_requests: settings.keepalive_requests.unwrap_or(1000),
            keepalive_time: milliseconds(settings.keepalive_time, 3_600_000),
            charsets: self.charsets(settings),
            client_max_body_size: settings.client_max_body_size.unwrap_or(1 << 20),
            kept_body: match self.keeps_bodies {
                true => settings.client_body_buffer_size.unwrap_or(16_384) as usize,
                false => 0,
            },
            client_body_timeout: milliseconds(settings.client_body_timeout, 60_000),
            send_timeout: milliseconds(settings.send_timeout, 60_000),
            server_tokens: settings.server_tokens.unwrap_or(ServerTokens::On),
            add_header: add_header
                .map(|header| AddHeader {
                    name: header.name.clone(),
                    value: compile(&header.value),
                    always: header.always,
                })
                .collect(),
            access_log,
            error_log: match &settings.error_log {
                Some(logs) => self.error_log(logs)?,
                None => Arc::clone(default_log),
            },
            log_not_found: settings.log_not_found.unwrap_or(true),
            hide_cookie: settings.session_sticky_hide_cookie.is_some(),
        })
    }

    fn charsets(&self, settings: &model::Settings) -> Option<Charsets> {
        let (known, maps) = &self.charsets;
        // A variable may name one that the file does not.
        if known.is_empty() && !matches!(settings.charset, Some(model::Charset::Variable(_))) {
            return None;
        }
        let named = |charset: &model::Charset| match charset {
            model::Charset::Off => None,
            model::Charset::Named(name) => Some(Named::Name(name.clone())),
            model::Charset::Variable(text) => Some(Named::Text(compile(text))),
        };
        let ignored = settings.proxy_ignore_headers.as_ref();
        Some(Charsets {
            destination: settings.charset.as_ref().and_then(named),
            source: settings.source_charset.as_ref().and_then(named),
            overrides: settings.override_charset.unwrap_or(false),
            types: settings.charset_types.clone().unwrap_or_else(|| Arc::new(default_charset_types())),
            heeds_backend: !ignored.is_some_and(|ignored| ignored.contains(&model::BackendHeader::Charset)),
            known: Arc::clone(known),
            maps: Arc::clone(maps),
        })
    }

    /// A relative path begins at the prefix.
    fn below_prefix(&self, path: &Template) -> Template {
        use std::os::unix::ffi::OsStrExt;
        let absolute = matches!(path.parts.first(), Some(Part::Text(text)) if text.starts_with(b"/"));
        if absolute || matches!(path.parts.first(), Some(Part::Variable(_) | Part::Capture(_))) {
            return path.clone();
        }
        let mut prefix = self.environment.prefix.as_os_str().as_bytes().to_vec();
        if !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        let mut parts = vec![Part::Text(prefix)];
        parts.extend(path.parts.iter().cloned());
        Template { parts }
    }

    fn access_log(&self, log: &model::AccessLog) -> Result<AccessLog, BuildError> {
        let Some(format) = self.formats.get(&log.format) else {
            return Err(BuildError(format!("unknown log format \"{}\"", log.format)));
        };
        Ok(AccessLog {
            file: self.open_log(&log.path)?,
            format: Arc::clone(format),
            condition: log.condition.as_ref().map(compile),
        })
    }

    fn steps(&self, steps: &[model::RewriteStep]) -> Result<Vec<Rewrite>, BuildError> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&self, step: &model::RewriteStep) -> Result<Rewrite, BuildError> {
        Ok(match step {
            model::RewriteStep::Return(answer) => {
                Rewrite::Return { code: answer.code, text: answer.text.as_ref().map(compile) }
            }
            model::RewriteStep::If { condition, steps, location } => {
                let condition = match condition {
                    model::Condition::Set(text) => Condition::Set(compile(text)),
                    model::Condition::Equal { left, right, negated } => {
                        Condition::Equal { left: compile(left), right: compile(right), negated: *negated }
                    }
                    model::Condition::Matches { left, pattern, caseless, negated } => {
                        Condition::Matches { left: compile(left), regex: regex(pattern, *caseless)?, negated: *negated }
                    }
                };
                Rewrite::If { condition, steps: self.steps(steps)?, location: *location }
            }
        })
    }
}

/// nginx's `proxy_redirect default`: the URL of the `proxy_pass` for the location's prefix.
fn redirect(pass: &model::ProxyPass, location: &model::Location) -> (Vec<u8>, Vec<u8>) {
    let mut from = format!("http://{}", pass.authority).into_bytes();
    match (&pass.uri, &location.matcher) {
        (model::PassUri::Replace(uri), Matcher::Exact(prefix) | Matcher::Prefix { prefix, .. }) => {
            from.extend_from_slice(uri);
            (from, prefix.clone())
        }
        _ => {
            from.push(b'/');
            (from, b"/".to_vec())
        }
    }
}

fn listening(servers: &[model::Server]) -> Result<foldhash::HashMap<Address, Listening>, BuildError> {
    let mut addresses: foldhash::HashMap<Address, Listening> = foldhash::HashMap::default();
    for (index, server) in servers.iter().enumerate() {
        for listen in &server.listens {
            let new = || Listening { hosts: HostMap::default(), default: index };
            let listening = addresses.entry(listen.address.clone()).or_insert_with(new);
            if listen.default_server {
                listening.default = index;
            }
            for name in &server.names {
                match name {
                    model::ServerName::Exact(name) => listening.hosts.add_exact(name, index),
                    model::ServerName::Suffix(suffix) => listening.hosts.add_suffix(suffix, index),
                    model::ServerName::Prefix(prefix) => listening.hosts.add_prefix(prefix, index),
                    model::ServerName::Regex(pattern) => listening.hosts.add_regex(regex(pattern, true)?, index),
                    model::ServerName::Domain(domain) => {
                        listening.hosts.add_exact(domain, index);
                        listening.hosts.add_suffix(&format!(".{domain}"), index);
                    }
                }
            }
        }
    }
    Ok(addresses)
}

fn bind(bind: &model::ProxyBind) -> Option<Bind> {
    let address = match bind.address.as_ref()? {
        model::BindAddress::Literal(address) => BindTo::Address(*address),
        model::BindAddress::Variable(text) => BindTo::Text(compile(text)),
    };
    Some(Bind { address, transparent: bind.transparent })
}

fn shown_name(name: &model::ServerName) -> String {
    match name {
        model::ServerName::Exact(name) => name.clone(),
        model::ServerName::Suffix(suffix) => format!("*{suffix}"),
        model::ServerName::Domain(domain) => format!(".{domain}"),
        model::ServerName::Prefix(prefix) => format!("{prefix}*"),
        model::ServerName::Regex(pattern) => format!("~{pattern}"),
    }
}

fn regex(pattern: &str, caseless: bool) -> Result<Regex, BuildError> {
    limpet_text::regex(pattern, caseless).map_err(|error| BuildError(format!("{error} in \"{pattern}\"")))
}

fn milliseconds(value: Option<u64>, default: u64) -> Duration {
    Duration::from_millis(value.unwrap_or(default))
}

/// A head may have as many bytes as its buffers hold, and the small one that nginx reads first.
fn head_limits(settings: &model::Settings) -> HeadLimits {
    let first = settings.client_header_buffer_size.unwrap_or(1024);
    let (number, size) = settings.large_client_header_buffers.unwrap_or((4, 8192));
    let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    HeadLimits { line: bytes(size.max(first)), head: bytes(number.saturating_mul(size).saturating_add(first)) }
}

/// nginx's types without any `types` block.
fn default_charset_types() -> Vec<Vec<u8>> {
    let types: [&[u8]; 6] = [
        b"text/html",
        b"text/xml",
        b"text/plain",
        b"text/vnd.wap.wml",
        b"application/javascript",
        b"application/rss+xml",
    ];
    types.map(<[u8]>::to_vec).to_vec()
}

fn default_types() -> Types {
    [("html", "text/html"), ("gif", "image/gif"), ("jpg", "image/jpeg")]
        .into_iter()
        .map(|(extension, media_type)| (extension.as_bytes().to_vec(), media_type.as_bytes().to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_combined_format_parses() {
        assert!(Template::parse(COMBINED).is_ok());
    }
}
