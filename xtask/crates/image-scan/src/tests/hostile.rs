//! Images that were made to do harm: each is a clear error, soon, and nothing is written.

use std::time::{Duration, Instant};

use super::*;
use crate::source::ImageSource;
use oci_registry::{Client, Options};

/// What comes of an image whose one layer is this.
fn outcome(make: impl FnOnce(&Layout) -> Packed) -> String {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(&temp.path().join("image")).unwrap();
    let layer = make(&layout);
    let manifest = image(&layout, "amd64", &[layer]);
    publish(&layout, vec![manifest]);
    let before = listing(temp.path());
    let outcome = look(layout.dir()).map(|taken| format!("{} paths", taken[0].rootfs.nodes.len()));
    assert_eq!(listing(temp.path()), before, "nothing is written");
    outcome.unwrap_or_else(|error| error)
}

fn listing(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        all.push(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            all.extend(listing(&entry.path()));
        }
    }
    all.sort();
    all
}

#[test]
fn entries_that_lead_out_or_lie() {
    let one = |kind, path: &str, link: &str| Tar::default().entry(kind, path, link, 0o644, b"").end();
    let pax = |record: &str| {
        let header = Tar::default().entry(EntryType::XHeader, "pax", "", 0o644, record.as_bytes());
        header.file("a", 0o644, b"x").end()
    };
    let full = |kind| Tar::default().entry(kind, "a", "b", 0o644, b"hidden").end();
    let headers = |all: &[(EntryType, &str)]| {
        let add =
            |tar: Tar, (kind, text): &(EntryType, &str)| tar.entry(*kind, "x", "", 0o644, text.as_bytes());
        all.iter().fold(Tar::default(), add).file("a", 0o644, b"x").end()
    };
    let changed = |at: usize, bytes: &[u8]| {
        let mut tar = Tar::default().file("a", 0o644, b"x").end();
        tar[at..at + bytes.len()].copy_from_slice(bytes);
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&tar[..512]);
        header.set_cksum();
        tar[..512].copy_from_slice(header.as_bytes());
        tar
    };
    let first = Tar::default().file("a", 0o644, b"x").end();
    let behind = [first, Tar::default().file("b", 0o644, b"x").end()].concat();
    let mut wrong_sum = Tar::default().file("a", 0o644, b"x").end();
    wrong_sum[0] = b'b';
    let cut = Tar::default().file("a", 0o644, &[7; 4096]).0[..1024].to_vec();
    let cases = [
        (one(EntryType::Regular, "../etc/passwd", ""), "leads out of the image"),
        (one(EntryType::Regular, "a/../../b", ""), "leads out of the image"),
        (one(EntryType::Regular, "/etc/passwd", ""), "is absolute"),
        (one(EntryType::Symlink, "a/b", "../../etc"), "leads out of the image"),
        (one(EntryType::Symlink, "a", "/../x"), "leads out of the image"),
        (one(EntryType::Link, "a", "../b"), "leads out of the image"),
        (one(EntryType::Link, "a", "/etc/shadow"), "is absolute"),
        (one(EntryType::Link, "a", "nowhere"), "not there"),
        (one(EntryType::GNUSparse, "a", ""), "sparse"),
        (one(EntryType::new(b'Z'), "a", ""), "unknown kind"),
        (pax("27 path=../../../etc/passw\n"), "leads out of the image"),
        (pax("18 size=999999999\n"), "length is set"),
        (pax("25 GNU.sparse.size=12345\n"), "sparse"),
        (pax("9999 path=x\n"), "damaged"),
        (one(EntryType::Regular, "a/", ""), "named as a folder"),
        (one(EntryType::Continuous, "a/", ""), "named as a folder"),
        (one(EntryType::Regular, "./", ""), "named as a folder"),
        (one(EntryType::Symlink, ".", "x"), "named as a folder"),
        (full(EntryType::Directory), "is no file and has"),
        (full(EntryType::Symlink), "is no file and has"),
        (full(EntryType::Link), "is no file and has"),
        (full(EntryType::Fifo), "is no file and has"),
        (pax("8 path=\n"), "empty name"),
        (pax("13 linkpath=\n"), "empty name"),
        (pax("10 path=b\n10 path=c\n"), "two names"),
        (pax("\0 10 path=b\n"), "damaged"),
        (
            headers(&[(EntryType::XHeader, "10 path=b\n"), (EntryType::XHeader, "8 x=yz\n")]),
            "two pax headers",
        ),
        (headers(&[(EntryType::GNULongName, "b"), (EntryType::GNULongName, "c")]), "two names"),
        (headers(&[(EntryType::GNULongLink, "b"), (EntryType::GNULongLink, "c")]), "two names"),
        (headers(&[(EntryType::GNULongName, "\0")]), "empty name"),
        (headers(&[(EntryType::XHeader, "10 path=b\n"), (EntryType::GNULongName, "c")]), "and one of GNU"),
        (headers(&[(EntryType::GNULongLink, "c"), (EntryType::XHeader, "10 path=b\n")]), "and one of GNU"),
        (headers(&[(EntryType::XGlobalHeader, "10 path=b\n")]), "global header"),
        (headers(&[(EntryType::GNULongName, "a\nb")]), "control characters"),
        (one(EntryType::Regular, "a\x1b[2Jb", ""), "control characters"),
        (one(EntryType::Symlink, "a", "b\rc"), "control characters"),
        (changed(257, b"ustar\x0001"), "dialect"),
        (changed(257, b"ustar\0 \0"), "dialect"),
        (changed(345, b"usr/bin"), "dialect"),
        (one(EntryType::Regular, "a/.wh.", ""), "without a name"),
        (one(EntryType::Regular, ".wh..", ""), "without a name"),
        (one(EntryType::Regular, "a/.wh...", ""), "without a name"),
        (Tar::default().file("a", 0o644, b"x").file("./a", 0o644, b"").end(), "two of this name"),
        (
            Tar::default().file("a", 0o644, b"x").entry(EntryType::Directory, "a/", "", 0o755, b"").end(),
            "two of this name",
        ),
        (
            Tar::default()
                .file("a", 0o644, b"Package: x")
                .entry(EntryType::Link, "var/lib/dpkg/status", "a", 0o644, b"")
                .end(),
            "link to another file",
        ),
        (Tar::default().file("a", 0o644, b"x").file("a/b", 0o644, b"").end(), "no folder"),
        (Tar::default().file("a/b/c", 0o644, b"x").file("a", 0o644, b"").end(), "no folder"),
        (
            Tar::default().entry(EntryType::Symlink, "a", "b", 0o777, b"").file("a/c", 0o644, b"").end(),
            "no folder",
        ),
        (behind, "behind the end"),
        (wrong_sum, "damaged"),
        (cut, "cut short"),
        (b"no tar at all".repeat(100), "damaged"),
    ];
    for (tar, expected) in cases {
        let found = outcome(|layout| pack(layout, &tar));
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn links_within_and_devices_are_no_harm() {
    let tar = Tar::default()
        .file("./a/b", 0o644, b"x")
        .entry(EntryType::Link, "c", "./a/b", 0o644, b"")
        .entry(EntryType::Symlink, "a/d", "../c", 0o777, b"")
        .entry(EntryType::Symlink, "e", "/proc/mounts", 0o777, b"")
        .entry(EntryType::Char, "dev/null", "", 0o666, b"");
    assert_eq!(outcome(|layout| pack(layout, &tar.end())), "5 paths");
}

#[test]
fn bombs_are_left_early() {
    let started = Instant::now();
    // 4 GiB of zeros in 4 MB.
    let member = gzip(&vec![0; 64 << 20]);
    let bomb = member.repeat(64);
    let found = outcome(|layout| Packed {
        descriptor: layout.put(LAYER_GZIP, &bomb).unwrap(),
        diff_id: Digest::of(b""),
    });
    // Zeros end a tar, so that the rest is only passed over.
    assert!(found.contains("gzip bomb"), "{found}");
    // The same with a length that is not the blob's, against which it would be none.
    let found = outcome(|layout| {
        let mut descriptor = layout.put(LAYER_GZIP, &bomb).unwrap();
        descriptor.size = 1 << 40;
        Packed { descriptor, diff_id: Digest::of(b"") }
    });
    assert!(found.contains("not what its name says"), "{found}");
    let tar = Tar::default().file("big", 0o644, &vec![0; 300 << 20]).end();
    let found = outcome(|layout| pack(layout, &tar));
    assert!(found.contains("gzip bomb"), "{found}");
    // Two GB that are only claimed.
    let mut claimed = Tar::default().file("big", 0o755, b"\x7fELF\x02\x01");
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&claimed.0[..512]);
    header.set_size(2 << 30);
    header.set_cksum();
    claimed.0[..512].copy_from_slice(header.as_bytes());
    let found = outcome(|layout| pack(layout, &claimed.end()));
    assert!(found.contains("cut short"), "{found}");
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
}

#[test]
fn a_name_without_end_is_bounded() {
    let long = vec![b'a'; 2 << 20];
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let tar = Tar::default().entry(kind, "long", "", 0o644, &long).file("a", 0o644, b"").end();
        let found = outcome(|layout| pack(layout, &tar));
        assert!(found.contains("over the limit"), "{found}");
    }
    for (name, good) in [
        ("a/".repeat(512) + "b", true),
        ("a/".repeat(513) + "b", false),
        (vec!["a".repeat(255); 16].join("/"), true),
        (vec!["a".repeat(255); 17].join("/"), false),
    ] {
        let tar = Tar::default().entry(EntryType::GNULongName, "long", "", 0o644, name.as_bytes());
        let found = outcome(|layout| pack(layout, &tar.file("a", 0o644, b"").end()));
        assert_eq!(!found.contains("are the limits"), good, "{found}");
    }
}

#[test]
fn many_lists_and_one_crate_many_times_are_bounded() {
    let list = |count: usize, many: bool| {
        let mut audit = Audit::of_tree(TREE).unwrap();
        let one = audit.packages.remove(0);
        let name = |number: usize| if many { format!("c{number}") } else { "c".to_owned() };
        let package = |number| rust_workspace::audit::Crate {
            name: name(number),
            dependencies: Vec::new(),
            ..one.clone()
        };
        audit.packages = (0..count)
            .map(|number| rust_workspace::audit::Crate { root: false, ..package(number) })
            .collect();
        audit.put_into(&elf()).unwrap()
    };
    let long = list(9_000, true);
    let tar = (0..6).fold(Tar::default(), |tar, number| tar.file(&format!("p{number}"), 0o755, &long));
    let found = outcome(|layout| pack(layout, &tar.end()));
    assert!(found.contains("more than 50000 crates"), "{found}");
    // A further name of a program counts as the program does.
    let tar = (0..6).fold(Tar::default().file("p", 0o755, &long), |tar, number| {
        tar.entry(EntryType::Link, &format!("p{number}"), "p", 0o755, b"")
    });
    let found = outcome(|layout| pack(layout, &tar.end()));
    assert!(found.contains("more than 50000 crates"), "{found}");
    let twice = Audit::of_binary(&list(2, false)).unwrap_err();
    assert!(format!("{twice:#}").contains("has c 0.1.0 twice"), "{twice:#}");
}

#[test]
fn bytes_are_those_that_their_names_say() {
    let tar = Tar::default().file("a", 0o644, b"x").end();
    // Another tar than the config says.
    let found = outcome(|layout| Packed { diff_id: Digest::of(b"other"), ..pack(layout, &tar) });
    assert!(found.contains("the config says"), "{found}");
    // Other bytes than the name says, and a blob that is cut short.
    for change in [|bytes: &mut Vec<u8>| bytes[10] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(30)] {
        let found = outcome(|layout| {
            let packed = pack(layout, &tar);
            let path = layout.blob_path(&packed.descriptor.digest);
            let mut bytes = std::fs::read(&path).unwrap();
            change(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            packed
        });
        assert!(found.contains("damaged") || found.contains("not what its name says"), "{found}");
    }
    // Something behind the compressed stream.
    let found = outcome(|layout| {
        let blob = [gzip(&tar), b"more".to_vec()].concat();
        Packed { descriptor: layout.put(LAYER_GZIP, &blob).unwrap(), diff_id: Digest::of(&tar) }
    });
    assert!(found.contains("unpacked to its end"), "{found}");
    for (kind, blob, expected) in [
        ("tar+encrypted", &b"x"[..], "cannot be read"),
        ("tar+zstd", b"x", "zstd: "),
        ("tar+zstd", include_bytes!("../fixture/text.zst"), "damaged"),
    ] {
        let kind = format!("application/vnd.oci.image.layer.v1.{kind}");
        let found = outcome(|layout| Packed {
            descriptor: layout.put(&kind, blob).unwrap(),
            diff_id: Digest::of(b""),
        });
        assert!(found.contains(expected), "{kind}: {found}");
    }
}

#[test]
fn indexes_that_nest_lie_or_lack_something() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let layer = pack(&layout, &Tar::default().file("bin/app", 0o755, &program()).end());
    let manifest = image(&layout, "amd64", &[layer]);
    let outcome = |manifests: Vec<Descriptor>| {
        publish(&layout, manifests);
        look(layout.dir()).map(|taken| taken.len())
    };
    let mut nested = manifest.clone();
    for _ in 0..6 {
        nested = layout
            .put(oci::INDEX, &oci::to_bytes(&Index::new(vec![nested], Annotations::new())).unwrap())
            .unwrap();
    }
    assert!(outcome(vec![nested]).unwrap_err().contains("nest deeper"));
    // A digest cannot be in the bytes that it is of: a cycle is a name with other bytes behind it.
    let cyclic = Descriptor::of(oci::INDEX, b"{}");
    let text = oci::to_bytes(&Index::new(vec![cyclic.clone()], Annotations::new())).unwrap();
    std::fs::write(layout.blob_path(&cyclic.digest), &text).unwrap();
    let size = text.len() as u64;
    assert!(outcome(vec![Descriptor { size, ..cyclic }]).unwrap_err().contains("does not match its digest"));
    assert!(outcome(vec![Descriptor::of(MANIFEST, b"lost")]).unwrap_err().contains("has no such blob"));
    assert!(outcome(Vec::new()).unwrap_err().contains("no image"));
    let lying =
        Descriptor { platform: Some(oci_image::platform::Platform::LinuxArm64.into()), ..manifest.clone() };
    assert!(outcome(vec![lying]).unwrap_err().contains("its config says"));
    assert_eq!(outcome(vec![manifest.clone(), manifest]), Ok(1), "each manifest once");
    let many = (0..200).map(|n: u32| {
        let annotations = [("n".to_owned(), n.to_string())].into();
        layout.put(oci::INDEX, &oci::to_bytes(&Index::new(Vec::new(), annotations)).unwrap()).unwrap()
    });
    let many = many.collect();
    assert!(outcome(many).unwrap_err().contains("more than 100"));
}

#[test]
fn what_a_file_is_depends_on_its_bytes_first() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    // The second is no database, for all that it lies where some do.
    let known = ["etc/os-release", "var/lib/rpm/x", "var/lib/dpkg/status", "lib/apk/db/installed"];
    let big = [&b"\x7fELF\x02\x02"[..], &elf()[6..]].concat();
    let mut tar = Tar::default().file("srv/big", 0o755, &big);
    for path in known {
        tar = tar.file(path, 0o755, &elf());
    }
    tar = tar.entry(EntryType::Link, "bin/app", "etc/os-release", 0o755, b"");
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n", "A".repeat(64));
    let keys = known.iter().fold(Tar::default(), |tar, path| tar.file(path, 0o644, key.as_bytes()));
    let pax = b"52 SCHILY.xattr.security.capability=0123456789abcde\n";
    let capable = Tar::default().entry(EntryType::XHeader, "x", "", 0o644, pax).file("a", 0o755, b"x").end();
    let layers = [tar.end(), keys.end(), capable].map(|tar| pack(&layout, &tar));
    let [programs, keys, capable] = layers.map(|layer| {
        publish(&layout, vec![image(&layout, "amd64", &[layer])]);
        look(layout.dir()).unwrap().remove(0)
    });
    assert_eq!(programs.programs.len(), 6);
    let unreadable: Vec<_> =
        programs.programs.iter().filter(|program| program.unreadable.is_some()).collect();
    assert_eq!(unreadable.iter().map(|program| &program.path[..]).collect::<Vec<_>>(), ["/srv/big"]);
    assert_eq!(keys.rootfs.buried.len(), 3);
    let plain = &keys.rootfs.nodes["var/lib/rpm/x"].content;
    assert!(matches!(plain, crate::rootfs::Content::Secrets(_)), "{plain:?}");
    assert_eq!(keys.databases.len(), 2);
    assert_eq!(capable.rootfs.nodes["a"].mode, 0o4755);
}

#[test]
fn only_an_attestation_is_passed_over() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let layer = pack(&layout, &Tar::default().file("bin/app", 0o755, &program()).end());
    let shown = image(&layout, "amd64", &[layer]);
    let hidden = image(&layout, "arm64", &[pack(&layout, &Tar::default().file("b", 0o755, &elf()).end())]);
    let outcome = |manifests: Vec<Descriptor>| {
        publish(&layout, manifests);
        look(layout.dir()).map(|taken| taken.len())
    };
    let marked = |descriptor: &Descriptor, kind: &str, os: &str, arch: &str| {
        let platform = PlatformSpec { os: os.to_owned(), architecture: arch.to_owned(), variant: None };
        let annotations = [("vnd.docker.reference.type".to_owned(), kind.to_owned())].into();
        Descriptor { platform: Some(platform), annotations, ..descriptor.clone() }
    };
    let attestation = marked(&hidden, "attestation-manifest", "unknown", "unknown");
    assert_eq!(outcome(vec![shown.clone(), attestation.clone()]), Ok(1));
    // The same manifest, once as an attestation and once as an image.
    assert_eq!(outcome(vec![attestation.clone(), hidden.clone(), shown.clone()]), Ok(2));
    assert_eq!(
        outcome(vec![shown.clone(), marked(&hidden, "attestation-manifest", "linux", "arm64")]),
        Ok(2)
    );
    let unmarked = Descriptor { annotations: Annotations::new(), ..attestation.clone() };
    assert!(outcome(vec![shown.clone(), unmarked]).unwrap_err().contains("its config says"));
    let other = marked(&hidden, "image", "unknown", "unknown");
    assert!(outcome(vec![shown.clone(), other]).unwrap_err().contains("its config says"));
    let mut named = attestation;
    named.annotations.insert("org.opencontainers.image.ref.name".to_owned(), "latest".to_owned());
    assert!(outcome(vec![shown.clone(), named]).unwrap_err().contains("its config says"));
    let unknown = Descriptor { media_type: "text/plain".to_owned(), ..hidden.clone() };
    assert!(outcome(vec![shown.clone(), unknown]).unwrap_err().contains("of the type 'text/plain'"));
    // A signature says that it is no image; with a platform it is one to somebody.
    let text = String::from_utf8(layout.read(&hidden).unwrap()).unwrap();
    let signature = layout.put(MANIFEST, text.replace(oci::CONFIG, "application/x").as_bytes()).unwrap();
    assert_eq!(outcome(vec![shown.clone(), signature.clone()]), Ok(1));
    let signature = marked(&signature, "x", "linux", "arm64");
    assert!(outcome(vec![shown.clone(), signature]).unwrap_err().contains("is not an image's"));
    // One document that is an index to some and an image to others.
    let both = text.replacen('{', r#"{"manifests":[],"#, 1);
    for media_type in [oci::INDEX, MANIFEST] {
        let both = layout.put(media_type, both.as_bytes()).unwrap();
        assert!(outcome(vec![shown.clone(), both]).unwrap_err().contains("both"));
    }
    let lying = Descriptor { media_type: oci::INDEX.to_owned(), ..hidden };
    assert!(outcome(vec![shown, lying]).is_err());
}

#[test]
fn an_archive_has_the_same_images_for_every_reader() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(&temp.path().join("image")).unwrap();
    let layer = pack(&layout, &Tar::default().file("bin/app", 0o755, &program()).end());
    let other = pack(&layout, &Tar::default().file("bin/evil", 0o755, &elf()).end());
    let (first, second) = (image(&layout, "amd64", &[layer]), image(&layout, "arm64", &[other]));
    publish(&layout, vec![first.clone()]);
    let index = std::fs::read(layout.dir().join("index.json")).unwrap();
    let read = |entry: &Descriptor| layout.read(entry).unwrap();
    let manifest = |entry: &Descriptor| oci::from_bytes::<Manifest>("x", &read(entry)).unwrap();
    let (good, evil) = (manifest(&first), manifest(&second));
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let number = std::cell::Cell::new(0);
    let outcome = |config: &Manifest, layers: &Manifest, twice: bool| {
        let list =
            json!([{ "Config": blob(&config.config.digest), "Layers": [blob(&layers.layers[0].digest)] }]);
        let mut tar = Tar::default().file("index.json", 0o644, &index);
        for entry in [&first, &good.config, &good.layers[0], &evil.config, &evil.layers[0]] {
            tar = tar.file(&blob(&entry.digest), 0o644, &read(entry));
        }
        tar = tar.file("manifest.json", 0o644, &oci::to_bytes(&list).unwrap());
        if twice {
            tar = tar.file("./index.json", 0o644, &index);
        }
        number.set(number.get() + 1);
        let path = temp.path().join(format!("{}.tar", number.get()));
        std::fs::write(&path, tar.end()).unwrap();
        let client = Client::new(Options::default());
        let (work, wanted) = (temp.path().join("work"), platforms::Wanted::default());
        let brought = ImageSource::Archive(path).pull(&client, &work, wanted, &|_| {});
        brought.map(|pulled| look(pulled.layout.dir()).unwrap().len()).map_err(|error| {
            assert_eq!(cli_support::error::kind(&error), cli_support::error::ExitKind::Gate);
            format!("{error:#}")
        })
    };
    assert_eq!(outcome(&good, &good, false), Ok(1));
    assert!(outcome(&evil, &evil, false).unwrap_err().contains("that index.json does not"));
    assert!(outcome(&good, &evil, false).unwrap_err().contains("that index.json does not"));
    assert!(outcome(&good, &good, true).unwrap_err().contains("two of this name"));
}

#[test]
#[cfg(unix)]
fn a_blob_is_a_file() {
    let found = outcome(|layout| {
        let packed = pack(layout, &Tar::default().file("a", 0o644, b"x").end());
        let path = layout.blob_path(&packed.descriptor.digest);
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        packed
    });
    assert!(found.contains("not a regular file"), "{found}");
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    for name in ["index.json", "oci-layout"] {
        let path = temp.path().join(name);
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(layout.index().is_err() && Layout::may_write(temp.path()).is_ok(), "{name}");
        assert_eq!(Layout::open(temp.path()).is_ok(), name == "index.json");
    }
}
