//! Derived weights: what is found again, what is not, and what damage leads to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use percept_weights::cache::{CacheState, StampedFile};
use percept_weights::{CacheEntry, Checkpoint, PackedFile, WeightCache};
use tempfile::TempDir;

use crate::make::{f32_tensor, packed, safetensors};

/// A folder with a checkpoint of one file, and a cache.
struct Place {
    dir: TempDir,
    model: PathBuf,
    cache: WeightCache,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model.safetensors");
        fs::write(&model, b"weights").unwrap();
        let cache = WeightCache::at(dir.path().join("home/percept/weights"));
        Place { dir, model, cache }
    }

    fn entry_of(&self, file: &Path) -> CacheEntry {
        self.cache.entry(file, &[stamped(file)], "int8-1").unwrap()
    }

    fn entry(&self) -> CacheEntry {
        self.entry_of(&self.model)
    }

    /// The names of all files in the cache.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache.folder()).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

fn stamped(path: &Path) -> StampedFile {
    StampedFile::of(path, &File::open(path).unwrap()).unwrap()
}

/// Sizes before, at and after the alignment.
const SIZES: [usize; 6] = [0, 1, 63, 64, 65, 1000];

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 7 + size) as u8 | 1).collect()
}

fn write(entry: &CacheEntry) {
    let mut writer = entry.create().unwrap();
    for size in SIZES {
        let name = format!("layers.{size}.weight");
        writer.add(&name, &[size, 1], &bytes(size)).unwrap();
    }
    writer.finish().unwrap();
}

#[track_caller]
fn assert_whole(packed: &PackedFile) {
    packed.verify().unwrap();
    for size in SIZES {
        let name = format!("layers.{size}.weight");
        let blob = packed.get(&name, &[size, 1]).unwrap();
        assert_eq!(blob.as_ref(), bytes(size), "{name}");
    }
}

#[test]
fn what_was_written_is_found_again_by_name_and_shape() {
    let place = Place::new();
    assert!(place.entry().open().is_none(), "nothing is there yet");
    write(&place.entry());
    let packed = place.entry().open().unwrap();
    assert_whole(&packed);
    assert_eq!(packed.names().count(), SIZES.len());
    assert_eq!(packed.names().next(), Some("layers.0.weight"));
    for (name, shape) in [
        ("layers.64.weight", &[1, 64][..]),
        ("layers.64.weight", &[64]),
        ("layers.64.weight", &[]),
        ("layers.64.bias", &[64, 1]),
        ("", &[]),
    ] {
        assert!(packed.get(name, shape).is_none(), "{name} {shape:?}");
    }
    let blob = packed.get("layers.1000.weight", &[1000, 1]).unwrap();
    drop((packed, place));
    assert_eq!(blob.as_ref(), bytes(1000), "a blob keeps the file open");
}

#[test]
fn blobs_are_aligned_for_vector_loads() {
    let place = Place::new();
    write(&place.entry());
    let packed = place.entry().open().unwrap();
    for size in SIZES {
        let name = format!("layers.{size}.weight");
        let blob = packed.get(&name, &[size, 1]).unwrap();
        assert_eq!(blob.as_ref().as_ptr() as usize % 64, 0, "{name}");
    }
}

#[test]
fn a_file_without_blobs_is_a_file() {
    let place = Place::new();
    place.entry().create().unwrap().finish().unwrap();
    let packed = place.entry().open().unwrap();
    assert_eq!(packed.names().count(), 0);
    packed.verify().unwrap();
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn a_checkpoint_that_changed_never_gets_what_was_made_before() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("size alone", |model| {
            let time = modified(model);
            fs::write(model, b"weights and more").unwrap();
            set_modified(model, time);
        }),
        ("time alone, later", |model| {
            set_modified(model, modified(model) + Duration::from_nanos(1000));
        }),
        ("time alone, before 1970", |model| {
            set_modified(model, SystemTime::UNIX_EPOCH - Duration::from_secs(9));
        }),
        #[cfg(unix)]
        ("inode alone", |model| {
            let (time, other) = (modified(model), model.with_extension("new"));
            fs::write(&other, b"WEIGHTS").unwrap();
            set_modified(&other, time);
            fs::rename(&other, model).unwrap();
        }),
    ];
    for (what, change) in changes {
        let place = Place::new();
        write(&place.entry());
        change(&place.model);
        assert!(place.entry().open().is_none(), "{what}");
        write(&place.entry());
        assert_whole(&place.entry().open().unwrap());
        assert_eq!(place.names().len(), 1, "{what}: the old file is replaced");
    }
}

const VARIANT: &str = "int8-1";

/// A Hugging Face folder whose only tensor is `value`.
fn put_checkpoint(folder: &Path, value: f32) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    let weights = safetensors(&[f32_tensor("a", &[1], &[value])]);
    let new = folder.join("new");
    fs::write(&new, weights).unwrap();
    fs::rename(new, folder.join("model.safetensors")).unwrap();
}

/// The tensor of a checkpoint, from the cache where it is there, as a model loads it; and why not from the cache.
fn load(checkpoint: &Checkpoint, cache: &WeightCache) -> (Vec<u8>, Option<&'static str>) {
    let made = checkpoint.tensors().f32("a", &[1]).unwrap()[0].to_le_bytes();
    let entry = match cache.entry(checkpoint.path(), checkpoint.weight_files(), VARIANT) {
        Ok(entry) => entry,
        Err(error) => return (made.into(), Some(error.code())),
    };
    if let Some(packed) = entry.open() {
        return (packed.get("a", &[1]).unwrap().as_ref().into(), None);
    }
    let mut writer = entry.create().unwrap();
    writer.add("a", &[1], &made).unwrap();
    let fault = writer.finish().err().map(|error| error.code());
    (made.into(), fault)
}

#[test]
fn a_checkpoint_replaced_after_it_was_opened_leaves_nothing_for_the_new_one() {
    let place = Place::new();
    let folder = place.dir.path().join("hf");
    put_checkpoint(&folder, 1.0);
    let old = Checkpoint::open(&folder).unwrap();
    put_checkpoint(&folder, 2.0);
    let changed = Some("cache-source-changed");
    assert_eq!(
        load(&old, &place.cache),
        (1f32.to_le_bytes().into(), changed)
    );
    assert_eq!(place.names(), [""; 0]);
    let open = || Checkpoint::open(&folder).unwrap();
    for _ in 0..2 {
        assert_eq!(
            load(&open(), &place.cache),
            (2f32.to_le_bytes().into(), None)
        );
    }
    assert_eq!(load(&old, &place.cache).1, changed, "nor takes from it");
    let removed = open();
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    assert_eq!(load(&removed, &place.cache).1, changed);
}

#[test]
fn only_the_files_of_weights_count() {
    let place = Place::new();
    let folder = place.dir.path().join("hf");
    put_checkpoint(&folder, 1.0);
    let entry = || {
        let checkpoint = Checkpoint::open(&folder).unwrap();
        let files = checkpoint.weight_files();
        assert_eq!(files.len(), 1);
        place.cache.entry(&folder, files, VARIANT).unwrap()
    };
    write(&entry());
    fs::write(folder.join("generation_config.json"), "{}").unwrap();
    fs::write(folder.join("config.json"), "{\"a\": 1}").unwrap();
    assert_whole(&entry().open().unwrap());
}

#[test]
fn another_version_of_a_variant_is_not_used_but_replaced() {
    let place = Place::new();
    write(&place.entry());
    let files = [stamped(&place.model)];
    let newer = place.cache.entry(&place.model, &files, "int8-2").unwrap();
    assert!(newer.open().is_none());
    write(&newer);
    assert_whole(&newer.open().unwrap());
    assert!(place.entry().open().is_none());
    assert_eq!(place.names().len(), 1);
}

#[test]
fn what_was_made_from_a_changed_or_removed_file_is_stale() {
    let place = Place::new();
    write(&place.entry());
    let state = || place.cache.list().unwrap()[0].state;
    assert_eq!(state(), CacheState::Ready);
    set_modified(&place.model, SystemTime::UNIX_EPOCH);
    assert_eq!(state(), CacheState::Stale);
    write(&place.entry());
    assert_eq!(state(), CacheState::Ready);
    fs::remove_file(&place.model).unwrap();
    assert_eq!(state(), CacheState::Stale);
    assert!(place.cache.list().unwrap()[0].is_intact());
}

#[test]
fn variants_and_sets_of_files_have_places_of_their_own() {
    let place = Place::new();
    let other = place.dir.path().join("other.safetensors");
    fs::write(&other, b"weights").unwrap();
    let (a, b) = (place.model.clone(), other);
    let path = |files: &[&PathBuf], variant: &str| {
        let files: Vec<StampedFile> = files.iter().map(|file| stamped(file)).collect();
        let entry = place.cache.entry(&a, &files, variant).unwrap();
        entry.path().to_path_buf()
    };
    let first = path(&[&a], "int8-1");
    for other in [
        path(&[&b], "int8-1"),
        path(&[&a, &b], "int8-1"),
        path(&[&a], "int4-1"),
        path(&[&a], "int8-1-wide"),
    ] {
        assert_ne!(other, first);
    }
    for family in ["int8-2", "int8"] {
        assert_eq!(path(&[&a], family), first, "replaces the old version");
    }
    assert_eq!(path(&[&a, &b], "x"), path(&[&b, &a], "x"), "in any order");
    assert_eq!(first.parent(), Some(place.cache.folder()));
}

#[test]
fn a_file_of_another_place_is_not_used_under_this_name() {
    let place = Place::new();
    let other = place.dir.path().join("other");
    fs::write(&other, b"weights").unwrap();
    write(&place.entry_of(&other));
    let entry = place.entry();
    fs::copy(place.entry_of(&other).path(), entry.path()).unwrap();
    assert!(entry.open().is_none());
    assert!(place.entry_of(&other).open().is_some());
}

#[cfg(unix)]
#[test]
fn one_blob_of_a_hub_under_two_snapshots_has_one_place() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    let hash = "0123456789abcdef".repeat(4);
    let snapshot = |repo: &str, commit: &str, hash: &str| {
        let repo = place.dir.path().join("hub").join(repo);
        let folder = repo.join("snapshots").join(commit);
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(repo.join("blobs")).unwrap();
        fs::write(repo.join("blobs").join(hash), b"weights").unwrap();
        let link = folder.join("model.safetensors");
        symlink(format!("../../blobs/{hash}"), &link).unwrap();
        link
    };
    let first = snapshot("models--o--m", "1", &hash);
    let second = snapshot("models--o--m", "2", &hash);
    let fork = snapshot("models--o--fork", "1", &hash);
    write(&place.entry_of(&first));
    set_modified(&first, SystemTime::now() + Duration::from_secs(60));
    for link in [&first, &second, &fork] {
        assert_whole(&place.entry_of(link).open().unwrap());
    }
    assert_eq!(place.names().len(), 1);

    let other = snapshot("models--o--m", "3", &"f".repeat(40));
    assert!(place.entry_of(&other).open().is_none(), "another blob");
    fs::write(&second, b"weight").unwrap();
    assert!(place.entry_of(&second).open().is_none(), "a cut blob");
    // Names that are no hash, and folders that are no hub's, say nothing about the contents.
    for (repo, name) in [("models--o--m", "notes"), ("mine", &hash[..])] {
        let file = snapshot(repo, &format!("of-{name}"), name);
        write(&place.entry_of(&file));
        set_modified(&file, SystemTime::now() + Duration::from_secs(60));
        assert!(place.entry_of(&file).open().is_none(), "{repo} {name}");
    }
}

#[test]
fn a_checkpoint_that_changes_while_it_is_converted_is_not_kept() {
    let place = Place::new();
    let mut writer = place.entry().create().unwrap();
    writer.add("a", &[1], &[1]).unwrap();
    fs::write(&place.model, b"other weights").unwrap();
    let error = writer.finish().unwrap_err();
    assert_eq!(error.code(), "cache-source-changed");
    assert_eq!(place.names(), [""; 0]);
}

/// Asserts that a file is refused and removed, and that it can be made again.
#[track_caller]
fn assert_replaced(place: &Place, bad: &[u8], what: &str) {
    let entry = place.entry();
    fs::write(entry.path(), bad).unwrap();
    let listed = place.cache.list().unwrap();
    assert!(!listed[0].is_intact(), "{what}");
    assert_eq!(
        listed[0].verify().unwrap_err().code(),
        "cache-damaged",
        "{what}"
    );
    assert!(entry.open().is_none(), "{what}");
    assert!(!entry.path().exists(), "{what} should be removed");
}

#[test]
fn a_damaged_header_or_table_is_never_believed() {
    let place = Place::new();
    write(&place.entry());
    let good = fs::read(place.entry().path()).unwrap();
    let table = packed::table_offset(&good);
    assert!(good.len() - table > 500);
    for at in (0..64).chain(table..good.len()) {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            assert_replaced(&place, &bad, &format!("byte {at} ^ {flip:#x}"));
        }
    }
    for cut in (0..200).chain(table - 70..good.len()) {
        assert_replaced(&place, &good[..cut], &format!("cut at {cut}"));
    }
    for more in [1, 63, 64, 4096] {
        let long = [&good[..], &vec![0; more]].concat();
        assert_replaced(&place, &long, &format!("{more} bytes more"));
        let shifted = [&vec![0; more], &good[..]].concat();
        assert_replaced(&place, &shifted, &format!("{more} bytes before"));
    }
    write(&place.entry());
    assert_whole(&place.entry().open().unwrap());
}

#[test]
fn every_changed_byte_of_the_blobs_is_found_by_a_full_check() {
    let place = Place::new();
    write(&place.entry());
    let good = fs::read(place.entry().path()).unwrap();
    for at in 64..packed::table_offset(&good) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(place.entry().path(), &bad).unwrap();
        let packed = place.entry().open().unwrap();
        let error = packed.verify().unwrap_err();
        assert_eq!(error.code(), "cache-damaged", "byte {at}");
        let message = error.to_string();
        assert!(message.contains("layers."), "{message}");
        assert!(message.contains("remove the file"), "{message}");
        let listed = place.cache.list().unwrap();
        assert!(listed[0].is_intact() && listed[0].verify().is_err());
    }
}

#[test]
fn a_table_that_lies_under_a_right_checksum_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.cache.folder()).unwrap();
    let sum = "0".repeat(64);
    let blob = |name: &str, offset: u64, bytes: u64| {
        format!(
            "{{\"name\":\"{name}\",\"shape\":[1],\"offset\":{offset},\"bytes\":{bytes},\"sha256\":\"{sum}\"}}"
        )
    };
    let table = |blobs: &str| {
        format!(
            "{{\"source\":\"s\",\"variant\":\"v\",\"place\":\"p\",\"files\":[],\"blobs\":[{blobs}]}}"
        )
    };
    let one = |offset, bytes| packed::file(&[0; 64], 1, &table(&blob("a", offset, bytes)));
    let both = format!("{},{}", blob("a", 64, 64), blob("a", 128, 64));
    let good = packed::file(&[0; 64], 1, &table(&blob("a", 64, 64)));
    fs::write(place.entry().path(), &good).unwrap();
    assert!(place.cache.list().unwrap()[0].is_intact());

    for (what, bad) in [
        ("no table", packed::file(&[0; 64], 1, "")),
        ("no JSON", packed::file(&[0; 64], 1, "{")),
        ("another JSON", packed::file(&[0; 64], 1, "[1]")),
        ("deep JSON", packed::file(&[0; 64], 1, &"[".repeat(100_000))),
        ("an empty object", packed::file(&[0; 64], 1, "{}")),
        (
            "fewer blobs",
            packed::file(&[0; 64], 2, &table(&blob("a", 64, 64))),
        ),
        ("no blobs", packed::file(&[0; 64], u32::MAX, &table(""))),
        ("a blob in the header", one(0, 64)),
        ("a blob that is not aligned", one(65, 63)),
        ("a blob behind a gap", one(128, 0)),
        ("a blob beyond the file", one(64, 65)),
        ("a blob without end", one(64, u64::MAX)),
        (
            "bytes behind the last blob",
            packed::file(&[0; 128], 1, &table(&blob("a", 64, 64))),
        ),
        (
            "a table that is not aligned",
            packed::file(&[0; 60], 1, &table(&blob("a", 64, 60))),
        ),
        (
            "two blobs of one name",
            packed::file(&[0; 128], 2, &table(&both)),
        ),
        (
            "a short checksum",
            packed::file(&[0; 64], 1, &table(&blob("a", 64, 64)).replace("00", "0")),
        ),
        (
            "a negative shape",
            packed::file(
                &[0; 64],
                1,
                &table(&blob("a", 64, 64)).replace("[1]", "[-1]"),
            ),
        ),
    ] {
        assert_replaced(&place, &bad, what);
    }
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let mut writer = place.entry().create().unwrap();
    writer.add("a", &[1], &[1; 100]).unwrap();
    assert_eq!(place.names().len(), 1);
    drop(writer);
    assert_eq!(place.names(), [""; 0]);
    assert!(place.entry().open().is_none());
}

#[test]
fn a_name_is_taken_once() {
    let place = Place::new();
    let mut writer = place.entry().create().unwrap();
    writer.add("a", &[1], &[1]).unwrap();
    let error = writer.add("a", &[1], &[2]).unwrap_err();
    assert_eq!(error.code(), "cache-duplicate");
    writer.add("b", &[1], &[3]).unwrap();
    writer.finish().unwrap();
    let packed = place.entry().open().unwrap();
    assert_eq!(packed.get("a", &[1]).unwrap().as_ref(), [1]);
    assert_eq!(packed.get("b", &[1]).unwrap().as_ref(), [3]);
}

#[test]
fn a_file_can_take_over_what_is_intact_in_another() {
    let place = Place::new();
    write(&place.entry());
    let path = place.entry().path().to_path_buf();
    let mut bad = fs::read(&path).unwrap();
    let damaged = bad.windows(64).position(|part| part == bytes(64)).unwrap();
    bad[damaged] ^= 1;
    fs::write(&path, bad).unwrap();
    let old = place.entry().open().unwrap();

    let mut writer = place.entry().create().unwrap();
    writer.add("layers.63.weight", &[3], &[1, 2, 3]).unwrap();
    writer.add_others(&old).unwrap();
    writer.finish().unwrap();
    let new = place.entry().open().unwrap();
    new.verify().unwrap();
    assert_eq!(new.names().count(), SIZES.len() - 1);
    assert!(new.get("layers.64.weight", &[64, 1]).is_none(), "damaged");
    let replaced = new.get("layers.63.weight", &[3]).unwrap();
    assert_eq!(replaced.as_ref(), [1, 2, 3]);
    let kept = new.get("layers.1000.weight", &[1000, 1]).unwrap();
    assert_eq!(kept.as_ref(), bytes(1000));
}

#[test]
fn writers_and_readers_at_once_all_end_with_a_whole_file() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let entry = place.entry();
                    write(&entry);
                    let old = entry.open().expect("a file that was written is there");
                    write(&entry);
                    assert_whole(&old);
                }
            });
        }
    });
    assert_whole(&place.entry().open().unwrap());
    assert_eq!(place.names().len(), 1, "no temporary file is left");
}

#[test]
fn the_list_says_what_each_file_was_made_from() {
    let place = Place::new();
    assert!(place.cache.list().unwrap().is_empty(), "no folder yet");
    write(&place.entry());
    fs::write(place.cache.folder().join("notes.txt"), "mine").unwrap();
    let list = place.cache.list().unwrap();
    assert_eq!(list.len(), 1);
    let size = fs::metadata(place.entry().path()).unwrap().len();
    assert_eq!(
        (&list[0].path, list[0].bytes),
        (&place.entry().path().to_path_buf(), size)
    );
    let origin = list[0].origin.as_ref().unwrap();
    assert_eq!(origin.source, place.model.to_str().unwrap());
    assert_eq!(origin.variant, "int8-1");
    list[0].verify().unwrap();
}

#[test]
fn clearing_removes_what_the_cache_made_and_nothing_else() {
    let place = Place::new();
    assert_eq!(place.cache.clear().unwrap().files, 0, "no folder yet");
    write(&place.entry());
    let folder = place.cache.folder().to_path_buf();
    let digits = "0".repeat(64);
    let mine = [
        "notes.txt".to_owned(),
        "model.packed".to_owned(),
        format!("{digits}.packed.bak"),
        format!("{}.packed", "X".repeat(64)),
        ".packing-mine".to_owned(),
    ];
    for name in &mine {
        fs::write(folder.join(name), "mine").unwrap();
    }
    let inner = folder.join(format!("{digits}.packed"));
    fs::create_dir(&inner).unwrap();
    let mut kept: Vec<String> = [&mine[..], &[format!("{digits}.packed")]].concat();
    #[cfg(unix)]
    {
        let link = format!("{}.packed", "1".repeat(64));
        std::os::unix::fs::symlink(&place.model, folder.join(&link)).unwrap();
        kept.push(link);
    }
    kept.sort();
    let damaged = folder.join(format!("{}.packed", "2".repeat(64)));
    fs::write(damaged, "damaged").unwrap();
    fs::write(folder.join(".packing-abc123.tmp"), "left behind").unwrap();

    let size = fs::metadata(place.entry().path()).unwrap().len();
    let cleared = place.cache.clear().unwrap();
    assert_eq!((cleared.files, cleared.bytes), (3, size + 7 + 11));
    assert_eq!(place.names(), kept);
    assert_eq!(fs::read(&place.model).unwrap(), b"weights");
}

#[test]
fn an_unfinished_file_goes_when_its_process_is_gone_and_not_before() {
    let place = Place::new();
    let mut writer = place.entry().create().unwrap();
    let leftover = place.cache.folder().join(".packing-abc123.tmp");
    fs::write(&leftover, "left behind").unwrap();
    let other = place.dir.path().join("other");
    fs::write(&other, b"weights").unwrap();
    write(&place.entry_of(&other));
    assert!(!leftover.exists(), "the next writer removes it");
    assert_eq!(place.cache.clear().unwrap().files, 1);
    writer.add("a", &[1], &[1]).unwrap();
    writer.finish().unwrap();
    assert!(place.entry().open().is_some());
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let place = Place::new();
    let file = place.dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let cache = WeightCache::at(file.join("weights"));
    let entry = cache
        .entry(&place.model, &[stamped(&place.model)], "x")
        .unwrap();
    assert!(entry.open().is_none());
    for error in [
        entry.create().unwrap_err(),
        cache.list().unwrap_err(),
        cache.clear().unwrap_err(),
    ] {
        assert_eq!(error.code(), "cache-io");
        let message = error.to_string();
        assert!(message.contains("weights: cannot "), "{message}");
        assert!(message.contains("; check the permissions"), "{message}");
    }
    let error = place.cache.entry(&place.model, &[], "x").unwrap_err();
    assert_eq!(error.code(), "cache-io", "a checkpoint in memory");

    // A folder has taken the file's name.
    let entry = place.entry();
    fs::create_dir_all(entry.path()).unwrap();
    assert!(entry.open().is_none());
    let mut writer = entry.create().unwrap();
    writer.add("a", &[1], &[1]).unwrap();
    assert_eq!(writer.finish().unwrap_err().code(), "cache-io");
    assert_eq!(place.names().len(), 1, "the temporary file is gone");
}

#[cfg(unix)]
#[test]
fn a_folder_without_permissions_is_an_error_and_a_file_without_them_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    write(&place.entry());
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let path = place.entry().path().to_path_buf();
    set(&path, 0o000).unwrap();
    // An administrator reads it all the same.
    let may_read = File::open(&path).is_ok();
    assert_eq!(place.entry().open().is_some(), may_read);
    assert!(path.exists(), "it may be intact");
    let listed = &place.cache.list().unwrap()[0];
    assert_eq!(listed.state == CacheState::Ready, may_read);
    assert_eq!(listed.state == CacheState::Unreadable, !may_read);
    set(&path, 0o600).unwrap();
    set(place.cache.folder(), 0o000).unwrap();
    assert_eq!(place.cache.list().is_ok(), may_read);
    assert_eq!(place.entry().create().is_ok(), may_read);
    set(place.cache.folder(), 0o700).unwrap();
}
