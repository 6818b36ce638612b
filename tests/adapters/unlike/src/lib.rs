//! An adapter whose interface has the agent's name and other types.

wit_bindgen::generate!({
    inline: "
        package unlike:adapter;

        world unlike {
            export latchkey:adapter/logs@0.1.0;
        }
    ",
    path: ["wit"],
    world: "unlike:adapter/unlike",
    generate_all,
});

struct Unlike;

impl exports::latchkey::adapter::logs::Guest for Unlike {
    fn locate(domain: String) -> String {
        domain
    }
}

export!(Unlike);
