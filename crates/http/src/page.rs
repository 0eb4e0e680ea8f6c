//! nginx's built-in pages.

use memchr::memmem;

use crate::runtime::ServerTokens;

/// The reason phrase of a status line; empty where nginx has none.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 | 494..=497 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// The page of a status; `None` for one without.
pub(super) fn page(status: u16, tokens: ServerTokens) -> Option<Vec<u8>> {
    let (title, heading, detail) = match status {
        302 => ("302 Found".to_owned(), "302 Found".to_owned(), None),
        401 => ("401 Authorization Required".to_owned(), "401 Authorization Required".to_owned(), None),
        494 => detailed("Request Header Or Cookie Too Large"),
        495 => detailed("The SSL certificate error"),
        496 => detailed("No required SSL certificate was sent"),
        497 => detailed("The plain HTTP request was sent to HTTPS port"),
        301 | 303 | 307 | 308 | 400..=599 => {
            let reason = reason(status);
            if reason.is_empty() {
                return None;
            }
            let text = format!("{status} {reason}");
            (text.clone(), text, None)
        }
        _ => return None,
    };
    let product = match tokens {
        ServerTokens::On => crate::PRODUCT,
        ServerTokens::Off => crate::PRODUCT_NAME,
    };
    let detail = detail.map(|detail| format!("<center>{detail}</center>\r\n")).unwrap_or_default();
    let text = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{heading}</h1></center>\r\n{detail}\
         <hr><center>{product}</center>\r\n</body>\r\n</html>\r\n"
    );
    Some(text.into_bytes())
}

fn detailed(detail: &'static str) -> (String, String, Option<&'static str>) {
    (format!("400 {detail}"), "400 Bad Request".to_owned(), Some(detail))
}

/// Whether the connection ends after a built-in page, whatever the client asked for.
pub(super) fn closes(status: u16) -> bool {
    matches!(status, 400 | 408 | 413 | 414 | 444 | 494..=497 | 499 | 500 | 501)
}

/// The padding that nginx adds for browsers that show pages of their own in place of short ones.
pub(super) fn padding(user_agent: Option<&[u8]>) -> Option<Vec<u8>> {
    let agent = user_agent?;
    let find = |needle: &[u8]| memmem::find(agent, needle);
    let msie = find(b"MSIE ").is_some_and(|at| at + 7 < agent.len());
    let pads = find(b"Opera").is_none() && (msie || (find(b"Gecko/").is_none() && find(b"Chrome/").is_some()));
    pads.then(|| b"<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n".repeat(6))
}

/// The status of gRPC for one of HTTP, by gRPC's own table (grpc/grpc, `http-grpc-status-mapping.md`).
pub fn grpc_status(status: u16) -> &'static str {
    match status {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_look_like_nginxs() {
        let page = String::from_utf8(page(502, ServerTokens::Off).unwrap()).unwrap();
        assert_eq!(
            page,
            "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n\
             <hr><center>limpet</center>\r\n</body>\r\n</html>\r\n"
        );
    }

    #[test]
    fn some_pages_have_titles_of_their_own() {
        let text = |status| String::from_utf8(page(status, ServerTokens::On).unwrap()).unwrap();
        assert!(text(302).contains("<h1>302 Found</h1>"));
        assert!(text(494).contains("<title>400 Request Header Or Cookie Too Large</title>"));
        assert_eq!(page(204, ServerTokens::On), None);
        assert_eq!(page(417, ServerTokens::On), None);
    }

    #[test]
    fn only_some_browsers_get_padding() {
        assert_eq!(padding(Some(b"Mozilla/5.0 Chrome/99.0")).map(|padding| padding.len()), Some(402));
        assert!(padding(Some(b"Mozilla/4.0 (compatible; MSIE 6.0; Windows)")).is_some());
        assert!(padding(Some(b"Mozilla/5.0 Gecko/20100101 Firefox/99")).is_none());
        assert!(padding(Some(b"curl/8")).is_none());
        assert!(padding(None).is_none());
    }
}
