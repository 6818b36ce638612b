//! An adapter that was built against a version of the interface to come, and uses what is new in it.

wit_bindgen::generate!({
    inline: "
        package too-new:adapter;

        world too-new {
            import latchkey:adapter/state@0.1.1;
            export begin: func();
        }
    ",
    path: ["wit"],
    world: "too-new:adapter/too-new",
    generate_all,
});

struct TooNew;

impl Guest for TooNew {
    fn begin() {
        let _ = latchkey::adapter::state::rename("old", "new");
    }
}

export!(TooNew);
