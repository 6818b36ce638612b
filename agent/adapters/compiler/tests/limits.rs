//! Each limit of a call, with an adapter that breaks it: a typed fault in bounded time, and the next call works.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs by name"
)]

use std::{
    collections::VecDeque,
    path::PathBuf,
    process::Command,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use latchkey_adapters::{Call, Fault, HostFunction, Limits, call::LogLevel};
use latchkey_runner::{component::Adapter, engine, instance::Host, ticker::Ticker};
use wasmtime::{Engine, component::Component};

struct Node {
    adapter: Adapter,
    ticker: Ticker,
}

static HOSTILE: LazyLock<Node> = LazyLock::new(|| {
    let engine = engine::engine().unwrap();
    Node { adapter: Adapter::link(&engine, &compiled(&engine)).unwrap(), ticker: Ticker::start(&engine).unwrap() }
});

fn compiled(engine: &Engine) -> Component {
    let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/adapters");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("adapters");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .current_dir(sources)
        .status();
    assert!(built.unwrap().success());
    Component::from_file(engine, target.join("wasm32-wasip2/release/hostile.wasm")).unwrap()
}

/// Plays serve: keeps what it is asked and told.
#[derive(Clone, Default)]
struct Scripted {
    asked: Arc<Mutex<Vec<HostFunction>>>,
    logged: Arc<Mutex<VecDeque<String>>>,
}

impl Host for Scripted {
    fn ask(&mut self, function: HostFunction, _arguments: Vec<u8>) -> Result<Vec<u8>, Fault> {
        self.asked.lock().unwrap().push(function);
        match function {
            HostFunction::StateGet => Ok(postcard::to_stdvec(&Ok::<Option<Vec<u8>>, ()>(None)).unwrap()),
            _ => Ok(postcard::to_stdvec(&Ok::<(), ()>(())).unwrap()),
        }
    }

    fn log(&mut self, _level: LogLevel, line: String) -> Result<(), Fault> {
        self.logged.lock().unwrap().push_back(line);
        Ok(())
    }

    fn is_gone(&self) -> bool {
        false
    }
}

const HOSTING: &str = r#"{"id":"h1","system-user":"h1","home":"/home/h1","db-prefix":"h1_","settings":[]}"#;

fn call(function: &str, more: &str, limits: Limits) -> (Result<Result<String, String>, Fault>, Scripted) {
    let host = Scripted::default();
    let _running = HOSTILE.ticker.run();
    let arguments = format!(r#"{{"hosting":{HOSTING}{more}}}"#);
    let call = Call { interface: "databases".into(), function: function.into(), arguments, limits };
    (HOSTILE.adapter.call(&call, Box::new(host.clone())), host)
}

fn create(what: &str, limits: Limits) -> (Result<Result<String, String>, Fault>, Scripted) {
    call("create-database", &format!(r#","key":"k1","name":"{what}""#), limits)
}

#[track_caller]
fn ends(what: &str, limits: Limits, expected: &Fault) {
    let began = Instant::now();
    assert_eq!(&create(what, limits).0.unwrap_err(), expected, "{what}");
    assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", began.elapsed());
    works();
}

#[track_caller]
fn works() {
    assert_eq!(create("nothing", Limits::default()).0, Ok(Ok("null".into())));
}

#[test]
fn a_call_returns_what_the_function_returns() {
    let (listed, _) = call("list-databases", "", Limits::default());
    let listed: serde_json::Value = serde_json::from_str(&listed.unwrap().unwrap()).unwrap();
    assert_eq!(listed, serde_json::json!([{"name": "h1_shop", "size": 4096, "tables": null}]));
    let (refused, _) = create("odd", Limits::default());
    assert_eq!(refused, Ok(Err(r#"{"invalid":{"expected":"not odd","name":"name"}}"#.into())));
}

#[test]
fn arguments_that_are_not_what_the_function_takes_are_refused_by_their_name() {
    let of = |function: &str, more: &str| call(function, more, Limits::default()).0.unwrap_err().to_string();
    assert_eq!(of("list-databases", r#","more":1"#), "more: expected no parameter of this name");
    assert_eq!(of("create-database", r#","key":"k1""#), "name: expected a string");
    let grant = r#","key":"k1","user":"u","database":"d","privileges":["select","shutdown"]"#;
    let expected = of("set-grant", grant);
    assert!(expected.starts_with("privileges[1]: expected one of select, insert,"), "{expected}");
    assert_eq!(of("drop-everything", ""), "the adapter has no function databases.drop-everything");
    let wrong = Call {
        interface: "databases".into(),
        function: "list-databases".into(),
        arguments: HOSTING.replace("\"h1_\"", "7").replace('{', "{\"hosting\":{").replace('}', "}}"),
        limits: Limits::default(),
    };
    let refused = HOSTILE.adapter.call(&wrong, Box::new(Scripted::default())).unwrap_err();
    assert_eq!(refused.to_string(), "hosting.db-prefix: expected a string");
}

#[test]
fn an_endless_loop_ends_after_its_processor_time() {
    ends("loop", Limits { cpu_ms: 200, ..Limits::default() }, &Fault::Cpu(200));
}

#[test]
fn an_endless_loop_ends_after_its_time() {
    ends("loop", Limits { cpu_ms: 60_000, wall_ms: 300, ..Limits::default() }, &Fault::Wall(300));
}

#[test]
fn endless_host_calls_end_at_their_number() {
    ends("calls", Limits { host_calls: 500, ..Limits::default() }, &Fault::HostCalls(500));
    let (ended, host) = create("asks", Limits { host_calls: 500, ..Limits::default() });
    assert_eq!((ended.unwrap_err(), host.asked.lock().unwrap().len()), (Fault::HostCalls(500), 500));
}

#[test]
fn memory_ends_at_its_bytes() {
    ends("memory", Limits { memory_bytes: 16 << 20, ..Limits::default() }, &Fault::Memory(16 << 20));
    assert_eq!(create("lives-with-less-memory", Limits::default()).0, Ok(Ok("null".into())));
}

#[test]
fn what_is_handed_over_at_once_is_bounded() {
    ends("string", Limits { copied_bytes: 1 << 20, ..Limits::default() }, &Fault::Copied(1 << 20));
    let small = Limits { copied_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(call("list-users", "", small).0.unwrap_err(), Fault::Copied(1 << 20));
    works();
}

#[test]
fn handles_are_bounded() {
    ends("resources", Limits::default(), &Fault::Handles(1_000));
    assert_eq!(create("resources", Limits { handles: 20_000, ..Limits::default() }).0, Ok(Ok("null".into())));
}

#[test]
fn recursion_ends_with_the_stack() {
    ends("recursion", Limits::default(), &Fault::Stack);
}

#[test]
fn a_line_of_the_log_is_cut_and_all_of_them_are_bounded() {
    let (ended, host) = create("log", Limits { log_bytes: 10_000, host_calls: 100_000, ..Limits::default() });
    assert_eq!(ended.unwrap_err(), Fault::Log(10_000));
    let logged: usize = host.logged.lock().unwrap().iter().map(|line| line.len() + 1).sum();
    assert!((9_000..=10_000).contains(&logged), "{logged}");
    let (_, host) = create("string", Limits { copied_bytes: 16 << 20, ..Limits::default() });
    assert!(host.logged.lock().unwrap().iter().all(|line| line.len() <= 4096));
    works();
}

#[test]
fn tables_are_bounded() {
    // Rust grows none, so this one is written by hand.
    let grows = wat::parse_str(
        "(component
            (core module $grows
                (table 10 funcref)
                (func $grow
                    (if (i32.eq (table.grow (ref.null func) (i32.const 30000)) (i32.const -1)) (then unreachable)))
                (start $grow))
            (core instance (instantiate $grows)))",
    );
    let engine = engine::engine().unwrap();
    let grows = Adapter::link(&engine, &Component::new(&engine, grows.unwrap()).unwrap()).unwrap();
    let begins = |limits| grows.try_out(Box::new(Scripted::default()), limits).map(drop);
    assert_eq!(begins(Limits::default()), Err(Fault::Tables(20_000)));
    assert_eq!(begins(Limits { table_elements: 30_010, ..Limits::default() }), Ok(()));
    works();
}

#[test]
fn instances_are_bounded() {
    ends("nothing", Limits { instances: 1, ..Limits::default() }, &Fault::Instances(1));
}

#[test]
fn a_panic_ends_the_call_alone() {
    let ended = create("panic", Limits::default()).0;
    let hint = "#get-environment, which adapters do not have (Rust does so to print a panic; the SDK logs it instead)";
    assert!(matches!(&ended, Err(Fault::Trapped(why)) if why.ends_with(hint)), "{ended:?}");
    let (ended, host) = create("halfway", Limits::default());
    assert!(matches!(ended, Err(Fault::Trapped(_))));
    assert_eq!(*host.asked.lock().unwrap(), [HostFunction::StateSet]);
    works();
}

#[test]
fn the_last_words_of_a_call_are_told_and_bounded() {
    let why = |what: &str| match create(what, Limits::default()).0 {
        Err(Fault::Trapped(why)) => why,
        ended => panic!("{ended:?}"),
    };
    assert_eq!(why("abort"), "it ended itself (a panic, an exception) and logged no error before");
    let told = "it ended itself; the last error that it logged: ";
    assert_eq!(why("says-why-and-aborts"), format!("{told}no place for it"));
    assert_eq!(why("says-much-and-aborts"), format!("{told}{}", "é".repeat(150)));
    works();
}

#[test]
fn every_call_gets_an_instance_of_its_own() {
    for _ in 0..3 {
        assert_eq!(create("used-before", Limits::default()).0, Ok(Ok("null".into())));
    }
}

#[test]
fn there_are_no_files() {
    let fault = create("file", Limits::default()).0;
    assert!(matches!(&fault, Err(Fault::Trapped(_)) | Ok(Err(_))), "{fault:?}");
}
