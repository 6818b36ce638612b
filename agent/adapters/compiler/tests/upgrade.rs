//! An agent that offers more than a component was built against runs it; one that offers less says what is missing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use latchkey_adapters::Fault;
use latchkey_runner::{component::Adapter, engine};
use wasmtime::{
    Engine, Store,
    component::{Component, HasSelf, Linker},
};

/// `clock` as a later version could have it.
mod later {
    #![allow(missing_docs, clippy::all, reason = "generated")]

    wasmtime::component::bindgen!({
        inline: "
            package latchkey:adapter@0.1.1;

            interface clock {
                now: func() -> u64;
                elapsed: func() -> u64;
                offset: func() -> s32;
            }

            world later {
                import clock;
            }
        ",
    });
}

struct Clock;

impl later::latchkey::adapter::clock::Host for Clock {
    fn now(&mut self) -> u64 {
        7
    }

    fn elapsed(&mut self) -> u64 {
        0
    }

    fn offset(&mut self) -> i32 {
        0
    }
}

/// A component that asks `clock`, as it is in that version, for this function.
fn component(engine: &Engine, version: &str, function: &str, result: &str) -> Component {
    let core = if result == "s32" { "i32" } else { "i64" };
    let text = format!(
        r#"(component
            (import "latchkey:adapter/clock@{version}" (instance $clock (export "{function}" (func (result {result})))))
            (core func $asked (canon lower (func $clock "{function}")))
            (core module $module
                (import "clock" "asked" (func $asked (result {core})))
                (func (export "ask") (result {core}) (call $asked)))
            (core instance $instance (instantiate $module (with "clock" (instance (export "asked" (func $asked))))))
            (func (export "ask") (result {result}) (canon lift (core func $instance "ask"))))"#
    );
    Component::new(engine, wat::parse_str(text).unwrap()).unwrap()
}

#[test]
fn what_was_built_against_this_version_runs_with_a_later_one() {
    let engine = engine::engine().unwrap();
    let component = component(&engine, "0.1.0", "now", "u64");
    Adapter::link(&engine, &component).unwrap();
    let mut linker = Linker::new(&engine);
    later::Later::add_to_linker::<_, HasSelf<Clock>>(&mut linker, |clock| clock).unwrap();
    let mut store = Store::new(&engine, Clock);
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let ask = instance.get_typed_func::<(), (u64,)>(&mut store, "ask").unwrap();
    assert_eq!(ask.call(&mut store, ()).unwrap(), (7,));
}

#[test]
fn what_needs_a_later_version_is_told_which_function_and_which_version() {
    let engine = engine::engine().unwrap();
    let refused = Adapter::link(&engine, &component(&engine, "0.1.1", "offset", "s32")).unwrap_err();
    let Fault::Unfit(said) = &refused else { panic!("{refused}") };
    assert!(said.contains("it needs the function clock.offset of latchkey:adapter 0.1.1"), "{said}");
    // A later version alone is none: what it uses is there.
    Adapter::link(&engine, &component(&engine, "0.1.1", "now", "u64")).unwrap();
}
