//! `-h`, `-v` and `-V`.

use crate::cli::Action;
use crate::messages::say;

/// Standard modules of nginx that are not here, in the spelling of its configure script.
const WITHOUT: &str = "--without-http_gzip_module --without-http_ssi_module \
    --without-http_userid_module --without-http_access_module --without-http_auth_basic_module \
    --without-http_mirror_module --without-http_autoindex_module --without-http_geo_module --without-http_map_module \
    --without-http_split_clients_module --without-http_referer_module --without-http_fastcgi_module \
    --without-http_uwsgi_module --without-http_scgi_module --without-http_memcached_module \
    --without-http_limit_conn_module --without-http_limit_req_module --without-http_empty_gif_module \
    --without-http_browser_module";

/// What is built in, in the same spelling.
const WITH: &str = "--with-http_ssl_module --with-http_v2_module --add-module=ngx_http_upstream_session_sticky_module \
    --add-module=ngx_http_upstream_check_module --add-module=ngx_http_upstream_consistent_hash_module \
    --add-module=ngx_http_upstream_dynamic_module --add-module=ngx_http_upstream_iwrr_module \
    --add-module=ngx_http_upstream_vnswrr_module";

const HELP: &str = "\
Usage: limpet [-?hvVtTq] [-s signal] [-p prefix]
              [-e filename] [-c filename] [-g directives]
              [--dump-tree yaml|json]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a running limpet: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: /usr/local/nginx/)
  -e filename   : set error log file (default: logs/error.log)
  -c filename   : set configuration file (default: conf/nginx.conf)
  -g directives : set global directives out of configuration file
  --dump-tree N : print the configuration as a tree, in YAML or JSON
";

/// Scripts and test harnesses read this line.
fn line() -> String {
    format!("nginx version: nginx/{} ({})", limpet_http::NGINX_VERSION, limpet_http::PRODUCT)
}

/// Answers `-h`, `-v` or `-V`.
pub fn tell(about: Action) {
    say(&line());
    match about {
        Action::Help => say(HELP),
        Action::Configuration => {
            say(&format!("built with {}", limpet_tls::version()));
            say("TLS SNI support enabled");
            say(&format!("configure arguments: {WITH} {WITHOUT}"));
        }
        _ => {}
    }
}
