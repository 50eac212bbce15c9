//! The structure of the source: imports point down, without cycles, and folders are small.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders and files of `src/`, lowest first. Each imports only from the floors before its own. The parts of one
/// floor do not import from each other.
const FLOORS: [&[&str]; 13] = [
    &["error", "elementary", "special", "version"],
    &["real", "memory", "gradient_norms", "profile", "format", "files"],
    &["cells", "communicator", "optim"],
    &["model", "sizes", "allocate"],
    &["batch", "dropout", "interchange"],
    &["data", "engine"],
    &["cpu", "gpu", "train"],
    &["plot"],
    &["report"],
    &["experiment"],
    // The library's public names, as the program imports them.
    &["lib"],
    &["cli"],
    &["main"],
];

/// Parts whose files may import from each other, without a cycle: sizes are checked against a model, and a model uses
/// sizes.
const TOGETHER: [&str; 3] = ["model", "sizes", "allocate"];

/// The floors of `src/data/`: formats import the kinds of data, and no kind imports a format.
const DATA_FLOORS: [&[&str]; 7] = [
    &["common", "input"],
    &["values"],
    &["times"],
    &["signals"],
    &["piano_rolls", "sequences", "series", "synthetic"],
    &["text"],
    &["formats"],
];

/// The maximum number of files in a folder, without tests and subfolders.
const SIDE_BY_SIDE: usize = 15;

/// The path of a module from the root of its crate. Those of the program begin with `cli`.
type Module = Vec<String>;

struct Source {
    /// The file of each module.
    files: BTreeMap<Module, PathBuf>,
    /// The imports of each module, as paths from the root.
    imports: BTreeMap<Module, BTreeSet<Module>>,
}

pub(crate) fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| ["tests", "tests.rs", "damage.rs", "corruption.rs"].iter().any(|name| part.as_os_str() == *name))
}

pub(crate) fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without comments, strings and the tests at its end.
fn code(text: &str) -> String {
    let is_end = |at: &usize| text[at + 14..].lines().next().is_some_and(|line| line.ends_with("mod tests {"));
    let end = text.match_indices("\n#[cfg(test)]\n").map(|(at, _)| at).find(is_end);
    let text = &text[..end.unwrap_or(text.len())];
    let mut out = String::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let mut inside = false;
        for part in line.split('"') {
            out.push_str(if inside { "" } else { part });
            inside = !inside;
        }
        out.push('\n');
    }
    out
}

/// The paths in a `use` tree: `a::{b, c::d}` contains `a::b` and `a::c::d`.
fn paths(tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        found.push(tree.split(" as ").next().unwrap_or_default().trim().to_owned());
        return;
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut part) = (0, String::new());
    for letter in inner.chars().chain([',']) {
        match letter {
            ',' if depth == 0 => {
                if !part.trim().is_empty() {
                    paths(&format!("{}{}", before.trim(), part.trim()), found);
                }
                part.clear();
            }
            _ => {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                part.push(letter);
            }
        }
    }
}

impl Source {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        rust_files(&root, &mut found);
        let module = |path: &Path| -> Module {
            let mut names: Module = path
                .strip_prefix(&root)
                .unwrap()
                .with_extension("")
                .iter()
                .map(|name| name.to_str().unwrap().into())
                .collect();
            if names.last().is_some_and(|name| name == "mod") {
                names.pop();
            }
            if names == ["lib"] { Vec::new() } else { names }
        };
        let files: BTreeMap<Module, PathBuf> = found.into_iter().map(|path| (module(&path), path)).collect();
        let mut source = Self { files, imports: BTreeMap::new() };
        // The re-exports of each module, with the paths they come from.
        let mut handed_on: BTreeMap<Module, BTreeMap<String, Module>> = BTreeMap::new();
        let mut written = BTreeMap::new();
        for (module, path) in &source.files {
            let text = code(&fs::read_to_string(path).unwrap());
            let mut own = Vec::new();
            for (at, _) in text.match_indices("use ") {
                let before = text[..at].rsplit('\n').next().unwrap_or_default().trim();
                if !(before.is_empty() || before.starts_with("pub")) {
                    continue;
                }
                let tree = text[at + 4..].split(';').next().unwrap_or_default();
                let mut all = Vec::new();
                paths(tree, &mut all);
                own.extend(all.into_iter().map(|path| (before.starts_with("pub"), path)));
            }
            // Paths in the code. A `use` in a nested module starts from that module.
            let is_use = |item: &str| item.split_whitespace().any(|word| word == "use");
            let text: String = text.split_inclusive([';', '{', '}']).filter(|item| !is_use(item)).collect();
            for start in ["crate::", "super::", "bptt::"] {
                for (at, _) in text.match_indices(start) {
                    let is_whole = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                    let path: String =
                        text[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
                    if is_whole && !path.ends_with(':') {
                        own.push((false, path));
                    }
                }
            }
            written.insert(module.clone(), own);
        }
        for (module, own) in &written {
            for (is_public, path) in own {
                let Some(whole) = source.whole_path(module, path) else { continue };
                if let (true, Some(name)) = (*is_public, whole.last()) {
                    handed_on.entry(module.clone()).or_default().insert(name.clone(), whole.clone());
                }
            }
        }
        for (module, own) in &written {
            let imports = own.iter().filter(|(is_public, _)| !is_public);
            let imports = imports.filter_map(|(_, path)| source.whole_path(module, path));
            let imports: BTreeSet<Module> =
                imports.map(|path| source.defined_in(&path, &handed_on, 0)).filter(|of| of != module).collect();
            source.imports.insert(module.clone(), imports);
        }
        source
    }

    /// Resolves a path in a module to one from the root. `None` for paths of other crates.
    fn whole_path(&self, module: &Module, path: &str) -> Option<Module> {
        let mut parts: Vec<&str> = path.split("::").map(str::trim).collect();
        let mut from: Module = match parts[0] {
            "crate" | "bptt" => Vec::new(),
            "self" | "super" => module.clone(),
            child => {
                let mut whole = module.clone();
                whole.push(child.to_owned());
                if !self.files.contains_key(&whole) {
                    return None;
                }
                module.clone()
            }
        };
        while ["crate", "bptt", "self", "super"].contains(parts.first()?) {
            if parts.remove(0) == "super" {
                from.pop();
            }
            if parts.is_empty() {
                return Some(from);
            }
        }
        from.extend(parts.iter().filter(|part| **part != "self").map(|part| (*part).to_owned()));
        Some(from)
    }

    /// The module whose file defines the item of a path.
    fn defined_in(
        &self,
        path: &Module,
        handed_on: &BTreeMap<Module, BTreeMap<String, Module>>,
        depth: usize,
    ) -> Module {
        for length in (0..=path.len()).rev() {
            let module = path[..length].to_vec();
            if !self.files.contains_key(&module) {
                continue;
            }
            let next = path.get(length).and_then(|name| handed_on.get(&module)?.get(name));
            if let Some(next) = next.filter(|next| depth < 8 && next[..] != path[..=length]) {
                let whole = [next.clone(), path[length + 1..].to_vec()].concat();
                return self.defined_in(&whole, handed_on, depth + 1);
            }
            return module;
        }
        Vec::new()
    }

    fn is_test(&self, module: &Module) -> bool {
        self.files.get(module).is_some_and(|path| is_test(path))
    }

    /// The imports between parts of the source. `name` maps a module to its part.
    fn between(&self, name: impl Fn(&Module) -> String) -> BTreeMap<String, BTreeSet<String>> {
        let mut between: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, imports) in self.imports.iter().filter(|(module, _)| !self.is_test(module)) {
            let of = name(module);
            let others = imports.iter().filter(|import| !self.is_test(import)).map(&name).filter(|other| *other != of);
            between.entry(of.clone()).or_default().extend(others);
        }
        between
    }
}

/// The parts that import themselves indirectly.
fn in_circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let reaches = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            for other in imports.get(at).into_iter().flatten() {
                if seen.insert(other) {
                    next.push(other);
                }
            }
        }
        seen.contains(from)
    };
    imports.keys().filter(|name| reaches(name)).cloned().collect()
}

#[test]
fn no_file_imports_itself_through_others() {
    let source = Source::read();
    assert!(source.files.len() > 200 && source.imports.values().map(BTreeSet::len).sum::<usize>() > 800);
    let circles = in_circles(&source.between(|module| module.join("/")));
    assert!(circles.is_empty(), "files in a cycle of imports: {circles:?}");
}

/// Checks that the parts of a folder import only from the floors before their own. `part` maps a module to its part, or
/// to `None` if it is not in the folder.
fn hold_floors(source: &Source, floors: &[&[&str]], part: impl Fn(&Module) -> Option<String>) {
    let floor = |name: &str| floors.iter().position(|floor| floor.contains(&name));
    let is_of = |module: &Module, name: &str| part(module).is_some_and(|it| it == name) && !source.is_test(module);
    for (name, imports) in source.between(|module| part(module).unwrap_or_default()) {
        if name.is_empty() {
            continue;
        }
        let own = floor(&name).unwrap_or_else(|| panic!("{name} has no floor: add it to the list"));
        let together = |import: &String| TOGETHER.contains(&import.as_str()) && TOGETHER.contains(&name.as_str());
        for import in imports.iter().filter(|import| !import.is_empty() && !together(import)) {
            let below = floor(import).unwrap_or_else(|| panic!("{import} has no floor: add it to the list"));
            let those = source
                .imports
                .iter()
                .filter(|(of, imports)| is_of(of, &name) && imports.iter().any(|it| part(it).as_ref() == Some(import)));
            let files: Vec<String> = those.map(|(of, _)| of.join("/")).collect();
            assert!(below < own, "{name} imports from {import}, which is not below it: {files:?}");
        }
    }
}

#[test]
fn folders_import_only_from_lower_floors() {
    let source = Source::read();
    hold_floors(&source, &FLOORS, |module| Some(module.first().cloned().unwrap_or_else(|| "lib".into())));
    hold_floors(&source, &DATA_FLOORS, |module| module.get(1).filter(|_| module[0] == "data").cloned());
    // Folders within them form no cycle either. A file next to subfolders counts as a part of its own, since it is
    // above some of them and below others.
    let of = |module: &Module| source.files[module].parent().unwrap().to_owned();
    let folders: BTreeSet<PathBuf> = source.files.keys().map(of).collect();
    let has_subfolders = |folder: &Path| folders.iter().any(|other| other.parent() == Some(folder));
    let folder = |module: &Module| {
        let own = of(module);
        if has_subfolders(&own) { module.join("/") } else { own.display().to_string() }
    };
    let circles = in_circles(&source.between(folder));
    assert!(circles.is_empty(), "folders in a cycle of imports: {circles:?}");
}

#[test]
fn no_folder_has_more_than_15_files() {
    let source = Source::read();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for path in source.files.values().filter(|path| !is_test(path)) {
        let folder = path.parent().unwrap().strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
        *count.entry(folder.display().to_string()).or_default() += 1;
    }
    for (folder, files) in count {
        assert!(files <= SIDE_BY_SIDE, "{folder} has {files} files, more than {SIDE_BY_SIDE}");
    }
}

#[test]
fn architecture_md_lists_the_same_floors() {
    for (floors, between) in [(FLOORS.as_slice(), "\n"), (DATA_FLOORS.as_slice(), " / ")] {
        let line = |floor: &&[&str]| {
            let mut parts = floor.to_vec();
            parts.sort_unstable();
            parts.join(", ")
        };
        let list: Vec<String> = floors.iter().rev().map(line).collect();
        let list = format!("```text\n{}\n```\n", list.join(between));
        assert!(include_str!("../../ARCHITECTURE.md").contains(&list), "ARCHITECTURE.md does not have\n{list}");
    }
}

#[test]
fn every_file_is_compiled() {
    let source = Source::read();
    let text =
        |module: &[String]| source.files.get(module).map(|path| fs::read_to_string(path).unwrap()).unwrap_or_default();
    // The roots of the library and of the program share a folder.
    let main = text(&["main".into()]);
    for (module, path) in source.files.iter().filter(|(module, _)| !module.is_empty() && *module != &["main"]) {
        let (name, parent) = module.split_last().unwrap();
        let declaration = format!("mod {name};");
        let is_declared = text(parent).contains(&declaration) || parent.is_empty() && main.contains(&declaration);
        assert!(is_declared, "no module declares {}", path.display());
    }
}
