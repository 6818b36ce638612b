//! An adapter that keeps values by `wasi:keyvalue`, which adapters do not have, when it is asked about a domain that
//! nobody asks about.

wit_bindgen::generate!({
    inline: "
        package wandering:adapter;

        world wandering {
            import wasi:keyvalue/store@0.1.0;
            export latchkey:adapter/logs@0.1.0;
        }
    ",
    path: ["../../../wit/latchkey-adapter@0.1.0", "wit"],
    world: "wandering:adapter/wandering",
    generate_all,
});

use exports::latchkey::adapter::logs::{Error, Guest, Hosting, Kind, Location};

struct Wandering;

impl Guest for Wandering {
    fn locate(hosting: Hosting, domain: Option<String>) -> Result<Vec<Location>, Error> {
        let title = match domain.as_deref() {
            Some("nobody-asks.example") => wasi::keyvalue::store::get("title"),
            _ => "Access".to_owned(),
        };
        Ok(vec![Location { kind: Kind::Access, title, path: format!("{}/access.log", hosting.home) }])
    }
}

export!(Wandering);
