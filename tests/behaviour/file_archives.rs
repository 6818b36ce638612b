//! `file.archive` and `file.extract`: jobs that are whole or leave nothing, and archives that other programs read and make.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use latchkey_tests::api::Api;
use latchkey_tests::archives::{Begun, files_workers, is_tidy, noise};
use latchkey_tests::audit::audited;
use latchkey_tests::file_manager::Managed;
use latchkey_tests::shares::{all_but, person, share};
use latchkey_tests::sites::folder;
use latchkey_tests::small_home::{End, SmallHome};
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;
use xtask::process::Program;

use crate::{ARCHIVED, MANAGED_TOO};

crate::trials! {
    beside_others:
        archives_are_made_and_extracted_with_the_privilege_and_not_without_it,
        what_we_pack_other_programs_read,
        what_other_programs_pack_we_extract,
        an_archive_that_means_harm_leaves_nothing,
        what_cannot_be_begun_is_refused_with_the_field,
        what_is_kept_out_of_sight_is_nobodys_to_pack_extract_or_search,
        a_full_disk_leaves_no_part_of_an_archive,
        a_used_up_quota_leaves_no_part_of_an_archive,
        packing_and_extracting_end_with_their_share,
        a_worker_that_dies_fails_the_job_and_no_other;
    alone:
        what_was_half_made_when_serve_was_killed_is_gone_when_it_is_back;
}

/// Begins a job.
#[track_caller]
fn begin<'m>(may: &'m Managed<'_>, operation: &str, input: &Value) -> Begun<'m> {
    Begun::of(may, operation, input)
}

#[track_caller]
fn done(may: &Managed<'_>, operation: &str, input: &Value) -> Value {
    begin(may, operation, input).succeeds()
}

/// The job must fail with this code; what it says.
#[track_caller]
fn fails(may: &Managed<'_>, operation: &str, input: &Value, code: &str) -> String {
    begin(may, operation, input).fails(code)
}

fn archives_are_made_and_extracted_with_the_privilege_and_not_without_it(node: &Node) {
    let may = Managed::new(node, "arc-may", ARCHIVED);
    let may_not = share(node, "arc-may", &person("may-not"), &all_but(node, "hosting.manage_file_manager"));
    folder(node, "arc-elsewhere", MANAGED_TOO);
    may.does("file.make_dir", &json!({ "path": may.at("site") }));
    may.plant("site/index.php", "<?php");
    fs::set_permissions(may.folder.join("site/index.php"), fs::Permissions::from_mode(0o640)).unwrap();
    let packed = may.at("site.tar.gz");
    for (operation, input) in [
        ("file.archive", json!({ "paths": [may.at("site")], "to": packed })),
        ("file.extract", json!({ "path": packed, "to": may.at("back") })),
        ("file.search", json!({ "path": may.path, "name": "index" })),
    ] {
        let problem = may_not.person().operate("arc-may", operation, &input).refused_by("A1", 403, "forbidden");
        assert_eq!(problem["privilege"], "hosting.manage_file_manager", "{problem}");
        may.share.person().operate("arc-elsewhere", operation, &input).refused_by("A2", 404, "not_found");
        if operation == "file.search" {
            assert_eq!(may.does(operation, &input)["items"].as_array().unwrap().len(), 2);
            continue;
        }
        done(&may, operation, &input);
        audited(node, "arc-may", operation, "allowed", |row| {
            row["share"] == may.share.id.as_str() && row["detail"].as_str().is_some_and(|it| it.contains("/site"))
        });
    }
    let archive = fs::metadata(may.folder.join("site.tar.gz")).unwrap();
    assert_eq!((archive.uid(), archive.gid(), archive.mode() & 0o7777), (may.user.uid, may.user.gid, 0o600));
    for (name, mode) in [("back", 0o755), ("back/site", 0o755), ("back/site/index.php", 0o640)] {
        let found = fs::metadata(may.folder.join(name)).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777), (may.user.uid, mode), "{name}");
    }
    is_tidy(&may);
    may.share.revoke();
    may.asks("file.archive", &json!({ "paths": [may.at("site")], "to": may.at("later.zip") }))
        .refused(404, "not_found");
    assert!(!may.folder.join("later.zip").exists());
}

/// A folder as people have them: text, noise, nothing, odd names, a link.
fn plant_site(may: &Managed<'_>) {
    for directory in ["site", "site/empty", "site/\u{fc}ber uns"] {
        fs::create_dir(may.folder.join(directory)).unwrap();
        may.user.own(&may.folder.join(directory)).unwrap();
    }
    may.plant("site/index.php", "<?php\n".repeat(1000));
    may.plant("site/image", noise(300_000));
    may.plant("site/\u{fc}ber uns/no content", "");
    may.plant(&format!("site/{}", "long".repeat(50)), "long");
    symlink("index.php", may.folder.join("site/link")).unwrap();
}

/// What `diff` says of two folders, the link left out.
fn differences(one: &Path, other: &Path) -> String {
    let diff = Program::new("diff").args(["-r", "--no-dereference", "--exclude=link"]).arg(one).arg(other);
    diff.text().unwrap_or_else(|error| format!("{error:#}"))
}

fn what_we_pack_other_programs_read(node: &Node) {
    let may = Managed::new(node, "arc-read", ARCHIVED);
    plant_site(&may);
    let at = |name: &str| may.folder.join(name).display().to_string();
    let run = |program: &str, arguments: &[&str]| {
        Program::new(program).args(arguments.iter().copied()).text().unwrap_or_else(|error| panic!("{error:#}"))
    };
    for (name, read) in [("site.zip", "unzip"), ("site.tar.gz", "tar"), ("site.tar.zst", "tar")] {
        let packed = done(&may, "file.archive", &json!({ "paths": [may.at("site")], "to": may.at(name) }));
        assert_eq!((&packed["entries"], &packed["left_out"]), (&json!(7), &json!(1)), "{packed}");
        assert_eq!(packed["size_bytes"], fs::metadata(may.folder.join(name)).unwrap().len());
        fs::create_dir(may.folder.join("theirs")).unwrap();
        match read {
            "unzip" => {
                run("unzip", &["-tq", &at(name)]);
                run("/usr/bin/python3", &["-m", "zipfile", "-t", &at(name)]);
                run("unzip", &["-q", &at(name), "-d", &at("theirs")]);
            }
            _ => {
                run("tar", &["--extract", "--file", &at(name), "--directory", &at("theirs")]);
            }
        }
        assert_eq!(differences(&may.folder.join("site"), &may.folder.join("theirs/site")), "");
        fs::remove_dir_all(may.folder.join("theirs")).unwrap();
    }
    run("zstd", &["-tq", &at("site.tar.zst")]);
}

fn what_other_programs_pack_we_extract(node: &Node) {
    let may = Managed::new(node, "arc-take", ARCHIVED);
    plant_site(&may);
    fs::remove_file(may.folder.join("site/link")).unwrap();
    let python = "import shutil, sys; shutil.make_archive(sys.argv[1], sys.argv[2], '.', 'site')";
    let ways: [(&str, &str, &[&str]); 9] = [
        ("by-zip.zip", "zip", &["-qr", "by-zip.zip", "site"]),
        ("streamed.zip", "sh", &["-c", "zip -qr - site > streamed.zip"]),
        ("python.zip", "/usr/bin/python3", &["-c", python, "python", "zip"]),
        ("python.tar.gz", "/usr/bin/python3", &["-c", python, "python", "gztar"]),
        ("gnu.tar.gz", "tar", &["-czf", "gnu.tar.gz", "site"]),
        ("pax.tar.gz", "tar", &["--format=pax", "-czf", "pax.tar.gz", "site"]),
        ("by-zstd.tar.zst", "tar", &["--zstd", "-cf", "by-zstd.tar.zst", "site"]),
        ("dots.tgz", "tar", &["-czf", "dots.tgz", "./site"]),
        ("plain.tar", "tar", &["-cf", "plain.tar", "site"]),
    ];
    for (name, program, arguments) in ways {
        let made = Program::new(program).args(arguments.iter().copied()).directory(&may.folder);
        made.run_as(may.user.identity()).text().unwrap_or_else(|error| panic!("{name}: {error:#}"));
        // What it is called says nothing: what is in it does.
        fs::rename(may.folder.join(name), may.folder.join("packed.zip")).unwrap();
        let extracted = done(&may, "file.extract", &json!({ "path": may.at("packed.zip") }));
        assert_eq!(extracted["path"], may.at("packed"), "{name}");
        assert_eq!(differences(&may.folder.join("site"), &may.folder.join("packed/site")), "", "{name}");
        let found = fs::metadata(may.folder.join("packed/site/index.php")).unwrap();
        let original = fs::metadata(may.folder.join("site/index.php")).unwrap();
        assert_eq!((found.uid(), found.gid()), (may.user.uid, may.user.gid));
        assert!((found.mtime() - original.mtime()).abs() <= 2 || name.ends_with("zip"), "{name}");
        fs::remove_dir_all(may.folder.join("packed")).unwrap();
        fs::remove_file(may.folder.join("packed.zip")).unwrap();
    }
}

fn an_archive_that_means_harm_leaves_nothing(node: &Node) {
    let may = Managed::new(node, "arc-harm", ARCHIVED);
    let make = |script: &str| {
        let program = format!("import tarfile, zipfile, io\n{script}");
        let python = Program::new("/usr/bin/python3").args(["-c", &program]).directory(&may.folder);
        python.run_as(may.user.identity()).text().unwrap_or_else(|error| panic!("{error:#}"));
    };
    let tar = |entry: &str, kind: &str| {
        format!(
            "t = tarfile.open('bad', 'w:gz')\nt.addfile(tarfile.TarInfo('first'))\n\
             i = tarfile.TarInfo('{entry}')\ni.type = tarfile.{kind}\ni.linkname = '/etc/passwd'\n\
             t.addfile(i)\nt.close()"
        )
    };
    let holes = "i = tarfile.TarInfo('a')\ni.size = 110 << 20\nf = open('bad', 'wb')\n\
                 f.write(i.tobuf())\nf.truncate(512 + (110 << 20) + 1024)\nf.close()";
    let zip = |write: &str| format!("z = zipfile.ZipFile('bad', 'w', zipfile.ZIP_DEFLATED)\n{write}\nz.close()");
    for (script, code, says) in [
        (tar("../../escaped", "REGTYPE"), "invalid", "\"../../escaped\": its name holds `..`"),
        (tar("/tmp/escaped", "REGTYPE"), "invalid", "begins with a slash"),
        (tar("symbolic", "SYMTYPE"), "invalid", "\"symbolic\": it is a link"),
        (tar("hard", "LNKTYPE"), "invalid", "\"hard\": it is a link"),
        (tar("pipe", "FIFOTYPE"), "invalid", "neither a file nor a folder"),
        (tar("first", "REGTYPE"), "invalid", "\"first\": it comes twice"),
        (zip("z.writestr('../escaped', 'x')"), "invalid", "its name holds `..`"),
        (holes.to_owned(), "too_large", "unfolds to far more"),
        ("open('bad', 'w').write('no archive')".to_owned(), "invalid", "expected a zip"),
    ] {
        make(&script);
        let detail = fails(&may, "file.extract", &json!({ "path": may.at("bad"), "to": may.at("to") }), code);
        assert!(detail.contains(says), "{detail}");
        let names: Vec<_> = fs::read_dir(&may.folder).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(names, ["bad"]);
        is_tidy(&may);
    }
    audited(node, "arc-harm", "file.extract", "failed", |row| {
        row["detail"].as_str().is_some_and(|detail| detail.contains("/bad to ") && detail.contains("it is a link"))
    });
    assert!(!may.user.home.join("escaped").exists() && !Path::new("/tmp/escaped").exists());
}

fn what_cannot_be_begun_is_refused_with_the_field(node: &Node) {
    let may = Managed::new(node, "arc-begin", ARCHIVED);
    may.plant("file", "content");
    may.plant("other.zip", "content");
    symlink("file", may.folder.join("link")).unwrap();
    let pack = |paths: Value, to: &str| json!({ "paths": paths, "to": may.at(to) });
    let many = Value::from_iter((0..1001).map(|number| number.to_string()));
    let file = may.at("file");
    for (operation, input, status, field) in [
        ("file.archive", pack(json!([]), "new.zip"), 400, Some("paths")),
        ("file.archive", pack(many, "new.zip"), 400, Some("paths")),
        ("file.archive", pack(json!([file, file]), "new.zip"), 400, Some("paths")),
        ("file.archive", pack(json!([""]), "new.zip"), 400, Some("paths")),
        ("file.archive", pack(json!([".latchkey/trash"]), "new.zip"), 400, Some("paths")),
        ("file.archive", pack(json!([file]), "new"), 400, Some("format")),
        ("file.archive", pack(json!([may.at("nothing")]), "new.zip"), 404, None),
        ("file.archive", pack(json!([may.at("link")]), "new.zip"), 409, None),
        ("file.archive", pack(json!([file]), "other.zip"), 409, None),
        ("file.archive", pack(json!([file]), "nowhere/new.zip"), 404, None),
        ("file.extract", json!({ "path": file }), 400, Some("to")),
        ("file.extract", json!({ "path": may.at("other.zip"), "to": file }), 409, None),
        ("file.extract", json!({ "path": may.path, "to": may.at("to") }), 409, None),
        ("file.extract", json!({ "path": may.at("nothing.zip") }), 404, None),
        ("file.extract", json!({ "path": "../other.zip" }), 400, Some("path")),
    ] {
        let answer = may.asks(operation, &input);
        let said = (answer.status, answer.json()["field"].as_str().map(str::to_owned));
        assert_eq!(said, (status, field.map(str::to_owned)), "{operation} {input}: {}", answer.body);
    }
    // Not without its parts: then there are three.
    assert_eq!(fs::read_dir(&may.folder).unwrap().count(), 3);
}

fn what_is_kept_out_of_sight_is_nobodys_to_pack_extract_or_search(node: &Node) {
    let may = Managed::new(node, "arc-hidden", ARCHIVED);
    may.plant("file", "content");
    done(&may, "file.archive", &json!({ "paths": [may.at("file")], "to": may.at("packed.zip") }));
    let kept = may.does("file.delete", &json!({ "path": may.at("packed.zip") }))["trash"].as_str().unwrap().to_owned();
    let in_trash = kept.strip_prefix(".latchkey/trash/").unwrap();
    symlink("../../.latchkey", may.folder.join("way")).unwrap();
    let by_link = may.at(&format!("way/trash/{in_trash}"));
    for (operation, input, field) in [
        ("file.archive", json!({ "paths": [kept], "to": may.at("new.zip") }), "paths"),
        ("file.archive", json!({ "paths": [by_link], "to": may.at("new.zip") }), "paths"),
        ("file.archive", json!({ "paths": [may.at("file")], "to": ".latchkey/trash/new.zip" }), "to"),
        ("file.archive", json!({ "paths": [may.at("file")], "to": may.at("way/trash/new.zip") }), "to"),
        ("file.extract", json!({ "path": kept, "to": may.at("new") }), "path"),
        ("file.extract", json!({ "path": by_link, "to": may.at("new") }), "path"),
        ("file.search", json!({ "path": ".latchkey", "name": "packed" }), "path"),
        ("file.search", json!({ "path": may.at("way"), "name": "packed" }), "path"),
        ("file.search", json!({ "path": may.at("way/trash"), "name": "packed" }), "path"),
    ] {
        assert_eq!(may.asks(operation, &input).refused(400, "invalid")["field"], field, "{operation} {input}");
    }
    for folder in [".latchkey", ".latchkey/trash", &may.at("way/trash")] {
        let path = format!("/v1/instances/arc-hidden/files/{folder}?format=zip");
        assert_eq!(may.share.person().request("GET", &path).send().refused(400, "invalid")["field"], "path");
    }
    assert!(!may.folder.join("new.zip").exists() && !may.folder.join("new").exists());
    assert!(may.user.home.join(&kept).exists() && !may.user.home.join(".latchkey/trash/new.zip").exists());
    // Out of the trash it is as any other.
    may.does("file.rename", &json!({ "from": kept, "to": may.at("packed.zip") }));
    let extracted = done(&may, "file.extract", &json!({ "path": may.at("packed.zip") }));
    assert_eq!(extracted["entries"], 1);
    assert_eq!(fs::read(may.folder.join("packed/file")).unwrap(), b"content");
    fs::remove_file(may.folder.join("way")).unwrap();
}

fn a_full_disk_leaves_no_part_of_an_archive(node: &Node) {
    without_room(node, "arc-disk", End::Disk);
}

fn a_used_up_quota_leaves_no_part_of_an_archive(node: &Node) {
    without_room(node, "arc-quota", End::Quota);
}

#[track_caller]
fn without_room(node: &Node, hosting: &'static str, end: End) {
    let home = SmallHome::of(node, hosting, end);
    let may = Managed::new(node, hosting, hosting);
    may.plant("noise", noise(30_000_000));
    let packed = json!({ "paths": [may.at("noise")], "to": may.at("packed.zip") });
    done(&may, "file.archive", &packed);
    home.fill_but(8 << 20);
    let extract = json!({ "path": may.at("packed.zip"), "to": may.at("to") });
    let again = |format: &str| json!({ "paths": [may.at("noise")], "to": may.at("again"), "format": format });
    for (operation, input) in [
        ("file.archive", again("zip")),
        ("file.archive", again("tar_gz")),
        ("file.archive", again("tar_zst")),
        ("file.extract", extract.clone()),
    ] {
        let detail = fails(&may, operation, &input, "quota");
        assert!(detail.contains("disk"), "{detail}");
        is_tidy(&may);
    }
    let mut names: Vec<_> = fs::read_dir(&may.folder).unwrap().map(|one| one.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["noise", "packed.zip"]);
    home.make_room();
    done(&may, "file.archive", &again("tar_zst"));
    done(&may, "file.extract", &extract);
    assert!(fs::read(may.folder.join("to/noise")).unwrap() == noise(30_000_000));
}

/// A file that takes no room, and long to pack.
fn plant_long(may: &Managed<'_>, name: &str) {
    may.plant(name, "");
    fs::File::options().write(true).open(may.folder.join(name)).unwrap().set_len(30 << 30).unwrap();
}

fn packing_and_extracting_end_with_their_share(node: &Node) {
    let may = Managed::new(node, "arc-cut", ARCHIVED);
    plant_long(&may, "long");
    // Takes little to pack and long to extract.
    let script = "import tarfile\nt = tarfile.open('many.tar.gz', 'w:gz', compresslevel=1)\n\
        for n in range(150000): t.addfile(tarfile.TarInfo(f'{n % 500}/{n}'))\nt.close()";
    let python = Program::new("/usr/bin/python3").args(["-c", script]).directory(&may.folder);
    python.run_as(may.user.identity()).text().unwrap();
    let new = may.user.home.join(".latchkey/new");
    let jobs = [
        begin(&may, "file.archive", &json!({ "paths": [may.at("long")], "to": may.at("packed.tar.gz") })),
        begin(&may, "file.extract", &json!({ "path": may.at("many.tar.gz"), "to": may.at("to") })),
    ];
    eventually("both have something half made", || {
        let made = fs::read_dir(&new).into_iter().flatten().flatten().map(|one| one.path());
        let (folders, files): (Vec<_>, Vec<_>) = made.partition(|path| path.is_dir());
        let begun = |path: &std::path::PathBuf| fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_some());
        folders.iter().any(begun) && files.iter().any(|path| fs::metadata(path).is_ok_and(|found| found.len() > 0))
    });
    let ended = may.share.revoke();
    assert_eq!((&ended["closed"]["job"], &ended["unconfirmed"]), (&json!(2), &json!([])), "{ended}");
    for job in jobs {
        let job = Api::panel(node).get(&format!("/v1/jobs/{}", job.id)).done();
        assert_eq!((&job["state"], &job["error"]["code"]), (&json!("cancelled"), &json!("not_found")), "{job}");
    }
    assert!(!may.folder.join("packed.tar.gz").exists() && !may.folder.join("to").exists());
    is_tidy(&may);
    fs::remove_file(may.folder.join("long")).unwrap();
}

fn a_worker_that_dies_fails_the_job_and_no_other(node: &Node) {
    let may = Managed::new(node, "arc-kill", "arc-kill");
    plant_long(&may, "long");
    may.plant("short", "content");
    let long = begin(&may, "file.archive", &json!({ "paths": [may.at("long")], "to": may.at("packed.zip") }));
    let new = may.user.home.join(".latchkey/new");
    eventually("something half made", || fs::read_dir(&new).is_ok_and(|mut inside| inside.next().is_some()));
    for worker in files_workers(&may.user) {
        Program::new("kill").args(["-9", &worker.to_string()]).text().unwrap();
    }
    let detail = long.fails("unavailable");
    assert!(detail.contains("try again"), "{detail}");
    is_tidy(&may);
    assert!(!may.folder.join("packed.zip").exists());
    done(&may, "file.archive", &json!({ "paths": [may.at("short")], "to": may.at("packed.zip") }));
    done(&may, "file.extract", &json!({ "path": may.at("packed.zip") }));
    assert_eq!(fs::read(may.folder.join("packed/short")).unwrap(), b"content");
    fs::remove_file(may.folder.join("long")).unwrap();
}

fn what_was_half_made_when_serve_was_killed_is_gone_when_it_is_back(node: &Node) {
    let may = Managed::new(node, "arc-crash", "arc-kill");
    plant_long(&may, "long");
    let long = begin(&may, "file.archive", &json!({ "paths": [may.at("long")], "to": may.at("packed.zip") }));
    let new = may.user.home.join(".latchkey/new");
    eventually("something half made", || fs::read_dir(&new).is_ok_and(|mut inside| inside.next().is_some()));
    node.serve().unwrap().crash().unwrap();
    let detail = long.fails("unavailable");
    assert!(detail.contains("was stopped"), "{detail}");
    is_tidy(&may);
    assert!(!may.folder.join("packed.zip").exists());
    fs::remove_file(may.folder.join("long")).unwrap();
}
