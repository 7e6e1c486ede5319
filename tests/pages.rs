//! The pages as a reader meets them: every link leads somewhere, and every picture is shown, small and nothing but
//! pixels. What they say is not known here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::harness::top;
use crate::tidy::{tracked, with_extension};

/// The most that a picture may weigh, bytes: pages are read over slow lines, and pictures are kept for ever.
const PICTURE_BYTES_MAX: usize = 150_000;
/// What a PNG needs to be seen. Others hold texts, times and names of programs.
const CHUNKS: [&[u8]; 6] = [b"IHDR", b"PLTE", b"tRNS", b"pHYs", b"IDAT", b"IEND"];

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    for (path, text) in with_extension("md") {
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let page = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let found = top().join(&page);
            assert!(found.exists(), "{}: `{target}` leads nowhere", path.display());
            if !heading.is_empty() {
                let headings = headings(&std::fs::read_to_string(found).unwrap());
                assert!(headings.iter().any(|one| one == heading), "{}: `{target}`: {headings:?}", path.display());
            }
        }
    }
}

#[test]
fn every_page_that_a_file_names_is_there() {
    let mut named = 0;
    for path in tracked() {
        let Ok(text) = std::fs::read_to_string(top().join(&path)) else { continue };
        for target in text.match_indices("docs/").map(|(at, _)| page_at(&text[at..])) {
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            if !file.ends_with(".md") {
                continue;
            }
            named += 1;
            let Ok(page) = std::fs::read_to_string(top().join(file)) else {
                panic!("{}: there is no `{file}`", path.display())
            };
            let led = heading.is_empty() || headings(&page).iter().any(|one| one == heading);
            assert!(led, "{}: `{target}` leads nowhere", path.display());
        }
    }
    assert!(named > 20, "the files are read: {named}");
}

#[test]
fn every_page_and_picture_is_led_to_by_another() {
    let mut led_to = BTreeSet::new();
    for (path, text) in with_extension("md") {
        let files = links(&text).into_iter().map(|target| target.split('#').next().unwrap_or_default().to_owned());
        led_to.extend(files.map(|file| path.parent().unwrap().join(file)).filter(|page| *page != path));
    }
    let lost: Vec<PathBuf> = in_docs().into_iter().filter(|path| !led_to.contains(path)).collect();
    assert!(lost.is_empty(), "no page leads to {lost:?}");
}

#[test]
fn every_picture_is_described_for_who_does_not_see_it() {
    for (path, text) in with_extension("md") {
        assert!(!text.contains("![]("), "{}: a picture without words", path.display());
    }
}

#[test]
fn pictures_are_small_and_hold_nothing_but_pixels() {
    let pictures: Vec<PathBuf> = in_docs().into_iter().filter(|path| path.extension().unwrap() != "md").collect();
    assert!(!pictures.is_empty(), "the pictures are found");
    for path in pictures {
        let bytes = std::fs::read(top().join(&path)).unwrap();
        let (name, weight) = (path.display(), bytes.len());
        assert!(weight <= PICTURE_BYTES_MAX, "{name} has {weight} bytes, of {PICTURE_BYTES_MAX} at the most");
        let odd: Vec<String> = chunks(&bytes).filter(|kind| !CHUNKS.contains(kind)).map(shown).collect();
        assert!(odd.is_empty(), "{name} holds {odd:?}");
    }
}

/// What is tracked below `docs`.
fn in_docs() -> Vec<PathBuf> {
    tracked().into_iter().filter(|path| path.starts_with("docs")).collect()
}

/// The page that a text begins with, with its heading.
fn page_at(text: &str) -> String {
    let whole = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '#');
    let name = text.split(|c| !whole(c)).next().unwrap_or_default();
    name.trim_end_matches('.').to_owned()
}

/// The kinds of a PNG's chunks, in order (ISO/IEC 15948 §5.3).
fn chunks(png: &[u8]) -> impl Iterator<Item = &[u8]> {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "it is a PNG");
    let mut rest = &png[8..];
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().unwrap()) as usize;
        let kind = &rest[4..8];
        rest = &rest[12 + length..];
        Some(kind)
    })
}

fn shown(kind: &[u8]) -> String {
    String::from_utf8_lossy(kind).into_owned()
}

/// Targets of inline links outside code.
fn links(page: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in page.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        // Every second part of a line split at backticks is code.
        let prose: Vec<&str> = line.split('`').step_by(2).collect();
        let mut rest = prose.join("`");
        while let Some(at) = rest.find("](") {
            rest = rest.split_off(at + 2);
            found.extend(rest.split([')', ' ']).next().map(str::to_owned));
        }
    }
    found
}

/// The anchors of a page's headings, as code hosts make them.
fn headings(page: &str) -> Vec<String> {
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let anchor = |text: String| {
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    page.lines().filter_map(heading).map(anchor).collect()
}
