//! Inheritance: http to server to location, inner blocks first to say.

use crate::model::{Content, Http, Location, Settings};

/// Fills in, in every block, what it takes from the blocks around it.
pub(crate) fn merge(http: &mut Http) {
    let outer = &http.settings;
    for server in &mut http.servers {
        server.settings.inherit(outer);
        for location in &mut server.locations {
            merge_location(location, &server.settings);
        }
    }
}

fn merge_location(location: &mut Location, outer: &Settings) {
    location.settings.inherit(outer);
    for inner in &mut location.locations {
        merge_location(inner, &location.settings);
    }
    for inner in &mut location.ifs {
        merge_location(inner, &location.settings);
        // The block of an `if` is its location with changes, so what answers there answers here.
        if inner.content == Content::Files {
            inner.content = location.content.clone();
        }
    }
}
