//! Hostile images: each is an error, and nothing is written.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use super::*;
use crate::image::layer::{self, Limits};
use crate::image::source::ImageSource;
use crate::image::tar_entries::entries;

/// The result for an image with this layer: the number of paths, or the error.
fn outcome(make: impl FnOnce(&Layout) -> Packed) -> String {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(&temp.path().join("image")).unwrap();
    let layer = make(&layout);
    let manifest = image(&layout, "amd64", &[layer]);
    publish(&layout, vec![manifest]);
    let before = listing(temp.path());
    let outcome = read(layout.dir()).map(|read| format!("{} paths", read[0].rootfs.nodes.len()));
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
fn ambiguous_and_escaping_entries_are_refused() {
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
        (one(EntryType::Link, "a", "nowhere"), "does not exist"),
        (one(EntryType::GNUSparse, "a", ""), "sparse"),
        (one(EntryType::new(b'Z'), "a", ""), "unknown type"),
        (pax("27 path=../../../etc/passw\n"), "leads out of the image"),
        (pax("18 size=999999999\n"), "sets an entry's size"),
        (pax("25 GNU.sparse.size=12345\n"), "sparse"),
        (pax("9999 path=x\n"), "damaged"),
        (one(EntryType::Regular, "a/", ""), "has a folder's name"),
        (one(EntryType::Continuous, "a/", ""), "has a folder's name"),
        (one(EntryType::Regular, "./", ""), "has a folder's name"),
        (one(EntryType::Symlink, ".", "x"), "has a folder's name"),
        (full(EntryType::Directory), "is not a file but has"),
        (full(EntryType::Symlink), "is not a file but has"),
        (full(EntryType::Link), "is not a file but has"),
        (full(EntryType::Fifo), "is not a file but has"),
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
        (headers(&[(EntryType::XHeader, "10 path=b\n"), (EntryType::GNULongName, "c")]), "and a GNU header"),
        (headers(&[(EntryType::GNULongLink, "c"), (EntryType::XHeader, "10 path=b\n")]), "and a GNU header"),
        (headers(&[(EntryType::XGlobalHeader, "10 path=b\n")]), "global pax header"),
        (headers(&[(EntryType::GNULongName, "a\nb")]), "control characters"),
        (one(EntryType::Regular, "a\x1b[2Jb", ""), "control characters"),
        (one(EntryType::Symlink, "a", "b\rc"), "control characters"),
        (changed(257, b"ustar\x0001"), "mixes dialects"),
        (changed(257, b"ustar\0 \0"), "mixes dialects"),
        (changed(345, b"usr/bin"), "mixes dialects"),
        (one(EntryType::Regular, "a/.wh.", ""), "names no file"),
        (one(EntryType::Regular, ".wh..", ""), "names no file"),
        (one(EntryType::Regular, "a/.wh...", ""), "names no file"),
        (Tar::default().file("a", 0o644, b"x").file("./a", 0o644, b"").end(), "two entries of this name"),
        (
            Tar::default().file("a", 0o644, b"x").entry(EntryType::Directory, "a/", "", 0o755, b"").end(),
            "two entries of this name",
        ),
        (
            Tar::default()
                .file("a", 0o644, b"Package: x")
                .entry(EntryType::Link, "var/lib/dpkg/status", "a", 0o644, b"")
                .end(),
            "hard link to another file",
        ),
        (Tar::default().file("a", 0o644, b"x").file("a/b", 0o644, b"").end(), "is not a folder"),
        (Tar::default().file("a/b/c", 0o644, b"x").file("a", 0o644, b"").end(), "is not a folder"),
        (
            Tar::default().entry(EntryType::Symlink, "a", "b", 0o777, b"").file("a/c", 0o644, b"").end(),
            "is not a folder",
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
fn links_and_devices_are_accepted() {
    let tar = Tar::default()
        .file("./a/b", 0o644, b"x")
        .entry(EntryType::Link, "c", "./a/b", 0o644, b"")
        .entry(EntryType::Symlink, "a/d", "../c", 0o777, b"")
        .entry(EntryType::Symlink, "e", "/proc/mounts", 0o777, b"")
        .entry(EntryType::Char, "dev/null", "", 0o666, b"");
    assert_eq!(outcome(|layout| pack(layout, &tar.end())), "5 paths");
}

/// A reader that counts.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

#[test]
fn decompression_bombs_are_read_up_to_the_limit() {
    const MEBIBYTE: u64 = 1 << 20;
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    // 256 MiB of zeros, first as the padding of a tar, then as a file in one.
    let padding = gzip(&vec![0; 16 << 20]).repeat(16);
    let file = gzip(&Tar::default().file("big", 0o644, &vec![0; 256 << 20]).end());
    let limits = Limits { ratio_from: MEBIBYTE, ..Limits::default() };
    for bomb in [padding, file] {
        let descriptor = layout.put(LAYER_GZIP, &bomb).unwrap();
        let limit = limits.ratio_from.max(descriptor.size * limits.ratio);
        assert!(limit < 256 * MEBIBYTE, "{limit}");
        let blob = layout.blob(&descriptor.digest).unwrap();
        let mut content = 0;
        let error = layer::read(blob, &descriptor, &Digest::of(b""), limits, |_, reader| {
            content += io::copy(reader, &mut io::sink())?;
            Ok(())
        });
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("decompression bomb") && error.contains(&limit.to_string()), "{error}");
        assert!(content <= limit, "{content} of {limit}");
        // Another size in the descriptor would raise the limit.
        let blob = layout.blob(&descriptor.digest).unwrap();
        let larger = Descriptor { size: 1 << 40, ..descriptor };
        let error = layer::read(blob, &larger, &Digest::of(b""), limits, |_, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains("but its descriptor says"), "{error}");
    }
}

#[test]
fn a_size_in_a_header_reserves_no_memory() {
    let mut tar = Tar::default().file("big", 0o755, b"\x7fELF\x02\x01");
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&tar.0[..512]);
    header.set_size(2 << 30);
    header.set_cksum();
    tar.0[..512].copy_from_slice(header.as_bytes());
    let tar = tar.end();
    let count = Rc::new(Cell::new(0));
    let mut reader = Counted { inner: &tar[..], count: Rc::clone(&count) };
    let read = entries(&mut reader, 10, &mut |_, reader| {
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        anyhow::ensure!(content.capacity() < 1 << 20, "{}", content.capacity());
        Ok(())
    });
    assert!(read.is_err() && count.get() <= tar.len() as u64, "{read:?}");
    assert!(outcome(|layout| pack(layout, &tar)).contains("cut short"));
}

#[test]
fn long_names_are_refused() {
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
        assert_eq!(!found.contains("the limits are"), good, "{found}");
    }
}

#[test]
fn too_many_crates_are_refused() {
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
    // A hard link counts as its target does.
    let tar = (0..6).fold(Tar::default().file("p", 0o755, &long), |tar, number| {
        tar.entry(EntryType::Link, &format!("p{number}"), "p", 0o755, b"")
    });
    let found = outcome(|layout| pack(layout, &tar.end()));
    assert!(found.contains("more than 50000 crates"), "{found}");
    let twice = Audit::of_binary(&list(2, false)).unwrap_err();
    assert!(format!("{twice:#}").contains("has c 0.1.0 twice"), "{twice:#}");
}

#[test]
fn content_must_have_its_digest() {
    let tar = Tar::default().file("a", 0o644, b"x").end();
    // Another tar than in the config.
    let found = outcome(|layout| Packed { diff_id: Digest::of(b"other"), ..pack(layout, &tar) });
    assert!(found.contains("but the config says"), "{found}");
    // Other bytes than in the descriptor, and a truncated blob.
    for change in [|bytes: &mut Vec<u8>| bytes[10] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(30)] {
        let found = outcome(|layout| {
            let packed = pack(layout, &tar);
            let path = layout.blob_path(&packed.descriptor.digest);
            let mut bytes = std::fs::read(&path).unwrap();
            change(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            packed
        });
        assert!(found.contains("damaged") || found.contains("but its descriptor says"), "{found}");
    }
    // Data behind the compressed stream.
    let found = outcome(|layout| {
        let blob = [gzip(&tar), b"more".to_vec()].concat();
        Packed { descriptor: layout.put(LAYER_GZIP, &blob).unwrap(), diff_id: Digest::of(&tar) }
    });
    assert!(found.contains("decompress the layer to its end"), "{found}");
    for (kind, blob, expected) in [
        ("tar+encrypted", &b"x"[..], "cannot read a layer"),
        ("tar+zstd", b"x", "zstd: "),
        ("tar+zstd", include_bytes!("../image/fixture/text.zst"), "damaged"),
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
fn invalid_indexes_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let layer = pack(&layout, &Tar::default().file("bin/app", 0o755, &program()).end());
    let manifest = image(&layout, "amd64", &[layer]);
    let outcome = |manifests: Vec<Descriptor>| {
        publish(&layout, manifests);
        read(layout.dir()).map(|read| read.len())
    };
    let mut nested = manifest.clone();
    for _ in 0..6 {
        nested = layout
            .put(oci::INDEX, &oci::to_bytes(&Index::new(vec![nested], Annotations::new())).unwrap())
            .unwrap();
    }
    assert!(outcome(vec![nested]).unwrap_err().contains("nest deeper"));
    // A real cycle is impossible, because a document cannot contain its own digest.
    let cyclic = Descriptor::of(oci::INDEX, b"{}");
    let text = oci::to_bytes(&Index::new(vec![cyclic.clone()], Annotations::new())).unwrap();
    std::fs::write(layout.blob_path(&cyclic.digest), &text).unwrap();
    let size = text.len() as u64;
    assert!(outcome(vec![Descriptor { size, ..cyclic }]).unwrap_err().contains("does not match its digest"));
    assert!(outcome(vec![Descriptor::of(MANIFEST, b"lost")]).unwrap_err().contains("has no such blob"));
    assert!(outcome(Vec::new()).unwrap_err().contains("no image"));
    let lying =
        Descriptor { platform: Some(oci_image::platform::Platform::LinuxArm64.into()), ..manifest.clone() };
    assert!(outcome(vec![lying]).unwrap_err().contains("but its config says"));
    assert_eq!(outcome(vec![manifest.clone(), manifest]), Ok(1), "each manifest is read once");
    let many = (0..1_001).map(|n: u32| {
        let annotations = [("n".to_owned(), n.to_string())].into();
        layout.put(oci::INDEX, &oci::to_bytes(&Index::new(Vec::new(), annotations)).unwrap()).unwrap()
    });
    let many = many.collect();
    assert!(outcome(many).unwrap_err().contains("more than 1000"));
}

#[test]
fn a_file_is_classified_by_its_bytes_first() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    // The second path is not a database's.
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
        read(layout.dir()).unwrap().remove(0)
    });
    assert_eq!(programs.programs.len(), 6);
    let unreadable: Vec<_> =
        programs.programs.iter().filter(|program| program.unreadable.is_some()).collect();
    assert_eq!(unreadable.iter().map(|program| &program.path[..]).collect::<Vec<_>>(), ["/srv/big"]);
    assert_eq!(keys.rootfs.buried.len(), 3);
    let plain = &keys.rootfs.nodes["var/lib/rpm/x"].content;
    assert!(matches!(plain, crate::image::rootfs::Content::Secrets(_)), "{plain:?}");
    assert_eq!(keys.databases.len(), 2);
    assert_eq!(capable.rootfs.nodes["a"].mode, 0o4755);
}

#[test]
fn only_attestations_are_skipped() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let layer = pack(&layout, &Tar::default().file("bin/app", 0o755, &program()).end());
    let shown = image(&layout, "amd64", &[layer]);
    let hidden = image(&layout, "arm64", &[pack(&layout, &Tar::default().file("b", 0o755, &elf()).end())]);
    let outcome = |manifests: Vec<Descriptor>| {
        publish(&layout, manifests);
        read(layout.dir()).map(|read| read.len())
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
    assert!(outcome(vec![shown.clone(), unmarked]).unwrap_err().contains("but its config says"));
    let other = marked(&hidden, "image", "unknown", "unknown");
    assert!(outcome(vec![shown.clone(), other]).unwrap_err().contains("but its config says"));
    let mut named = attestation;
    named.annotations.insert("org.opencontainers.image.ref.name".to_owned(), "latest".to_owned());
    assert!(outcome(vec![shown.clone(), named]).unwrap_err().contains("but its config says"));
    let unknown = Descriptor { media_type: "text/plain".to_owned(), ..hidden.clone() };
    assert!(outcome(vec![shown.clone(), unknown]).unwrap_err().contains("media type 'text/plain'"));
    // A signature is not an image, unless its entry has a platform.
    let text = String::from_utf8(layout.read(&hidden).unwrap()).unwrap();
    let signature = layout.put(MANIFEST, text.replace(oci::CONFIG, "application/x").as_bytes()).unwrap();
    assert_eq!(outcome(vec![shown.clone(), signature.clone()]), Ok(1));
    let signature = marked(&signature, "x", "linux", "arm64");
    assert!(outcome(vec![shown.clone(), signature]).unwrap_err().contains("is not an image config"));
    // A document that is both an index and a manifest.
    let both = text.replacen('{', r#"{"manifests":[],"#, 1);
    for media_type in [oci::INDEX, MANIFEST] {
        let both = layout.put(media_type, both.as_bytes()).unwrap();
        assert!(outcome(vec![shown.clone(), both]).unwrap_err().contains("both"));
    }
    let lying = Descriptor { media_type: oci::INDEX.to_owned(), ..hidden };
    assert!(outcome(vec![shown, lying]).is_err());
}

#[test]
fn archives_with_two_meanings_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(&temp.path().join("image")).unwrap();
    let layer = pack(&layout, &Tar::default().file("bin/app", 0o755, &program()).end());
    let other = pack(&layout, &Tar::default().file("bin/evil", 0o755, &elf()).end());
    let (first, second) = (image(&layout, "amd64", &[layer]), image(&layout, "arm64", &[other]));
    publish(&layout, vec![first.clone()]);
    let index = std::fs::read(layout.dir().join("index.json")).unwrap();
    let document = |entry: &Descriptor| layout.read(entry).unwrap();
    let manifest = |entry: &Descriptor| oci::from_bytes::<Manifest>("x", &document(entry)).unwrap();
    let (good, evil) = (manifest(&first), manifest(&second));
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let number = std::cell::Cell::new(0);
    let outcome = |config: &Manifest, layers: &Manifest, twice: bool| {
        let list =
            json!([{ "Config": blob(&config.config.digest), "Layers": [blob(&layers.layers[0].digest)] }]);
        let mut tar = Tar::default().file("index.json", 0o644, &index);
        for entry in [&first, &good.config, &good.layers[0], &evil.config, &evil.layers[0]] {
            tar = tar.file(&blob(&entry.digest), 0o644, &document(entry));
        }
        tar = tar.file("manifest.json", 0o644, &oci::to_bytes(&list).unwrap());
        if twice {
            tar = tar.file("./index.json", 0o644, &index);
        }
        number.set(number.get() + 1);
        let path = temp.path().join(format!("{}.tar", number.get()));
        std::fs::write(&path, tar.end()).unwrap();
        let (work, wanted) = (temp.path().join("work"), platforms::Wanted::default());
        let pulled = ImageSource::Archive(path).pull(&work, wanted, &|_| {});
        pulled.map(|pulled| read(pulled.layout.dir()).unwrap().len()).map_err(|error| {
            assert_eq!(cli_support::error::kind(&error), cli_support::error::ExitKind::Gate);
            format!("{error:#}")
        })
    };
    assert_eq!(outcome(&good, &good, false), Ok(1));
    assert!(outcome(&evil, &evil, false).unwrap_err().contains("index.json does not"));
    assert!(outcome(&good, &evil, false).unwrap_err().contains("index.json does not"));
    assert!(outcome(&good, &good, true).unwrap_err().contains("two entries of this name"));
}

#[test]
#[cfg(unix)]
fn blobs_must_be_regular_files() {
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
