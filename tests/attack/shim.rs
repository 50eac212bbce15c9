//! Stands before the C library's calls on files, when it is preloaded, and lets one of them fail. `preloaded.rs`
//! compiles it and says what the variables are. Of the standard library it uses what makes no such calls.

#![allow(unused_unsafe, reason = "the macro stands in unsafe blocks and outside of them")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicUsize, Ordering::SeqCst};

unsafe extern "C" {
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn getenv(name: *const c_char) -> *const c_char;
    fn __errno_location() -> *mut c_int;
    fn getpid() -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
}

/// The library's own function of that name, looked up once.
macro_rules! real {
    ($name:literal, $type:ty) => {{
        static FOUND: AtomicUsize = AtomicUsize::new(0);
        let mut found = FOUND.load(SeqCst);
        if found == 0 {
            // SAFETY: the name ends with a zero; −1 is RTLD_NEXT.
            found = unsafe { dlsym(-1isize as *mut c_void, concat!($name, "\0").as_ptr().cast()) } as usize;
            FOUND.store(found, SeqCst);
        }
        // SAFETY: the C library's function has this type.
        unsafe { std::mem::transmute::<usize, $type>(found) }
    }};
}

type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
type OpenAt = unsafe extern "C" fn(c_int, *const c_char, c_int, ...) -> c_int;
type OfFile = unsafe extern "C" fn(c_int) -> c_int;
type Read = unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;
type Write = unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;
type WriteAt = unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;
type Truncate = unsafe extern "C" fn(c_int, i64) -> c_int;
type Rename = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
type OfPath = unsafe extern "C" fn(*const c_char) -> c_int;
type OfPathAt = unsafe extern "C" fn(c_int, *const c_char, c_int) -> c_int;
type Mkdir = unsafe extern "C" fn(*const c_char, c_uint) -> c_int;

#[repr(C)]
pub struct Part {
    base: *const c_void,
    length: usize,
}
type WriteParts = unsafe extern "C" fn(c_int, *const Part, c_int) -> isize;

/// What the variables say.
struct Plan {
    /// Letters of the calls that are counted.
    calls: *const c_char,
    /// The call that fails, from 1; 0: none.
    at: i64,
    /// An errno, or −1: the process is killed, −2: a part of the bytes alone.
    what: i64,
    /// Whether every later one fails too.
    lasts: i64,
    /// The start of the names of the record's files; null: none.
    record: *const c_char,
}

fn number(name: &CStr) -> i64 {
    // SAFETY: the name ends with a zero, and so does what is returned.
    let text = unsafe { getenv(name.as_ptr()) };
    if text.is_null() {
        return 0;
    }
    unsafe { CStr::from_ptr(text) }.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn plan() -> Plan {
    // SAFETY: as above.
    let text = |name: &CStr| unsafe { getenv(name.as_ptr()) };
    Plan {
        calls: text(c"SHIM_CALLS"),
        at: number(c"SHIM_AT"),
        what: number(c"SHIM_WHAT"),
        lasts: number(c"SHIM_LASTS"),
        record: text(c"SHIM_RECORD"),
    }
}

const FILES: usize = 4096;

/// Which descriptors are files of the program's folder.
static OPEN: [AtomicBool; FILES] = [const { AtomicBool::new(false) }; FILES];

/// Calls so far of those that are counted.
static COUNT: AtomicI64 = AtomicI64::new(0);
/// The record's descriptor; 0 before it is open.
static RECORD: AtomicI64 = AtomicI64::new(0);
/// Snapshots so far.
static SNAPSHOTS: AtomicI64 = AtomicI64::new(0);
/// 1 while a call is under way.
static LOCK: AtomicU8 = AtomicU8::new(0);

fn is_ours(file: c_int) -> bool {
    usize::try_from(file).ok().and_then(|file| OPEN.get(file)).is_some_and(|open| open.load(SeqCst))
}

/// A path within the folder in which the program runs: every case names its files so.
///
/// # Safety
/// `path` ends with a zero.
unsafe fn is_path_ours(path: *const c_char) -> bool {
    // SAFETY: the caller's.
    !path.is_null() && unsafe { *path } as u8 != b'/'
}

/// A line of the record: a letter, a number and up to two paths, between tabs.
///
/// # Safety
/// The paths end with a zero or are null.
unsafe fn record(letter: u8, number: i64, paths: [*const c_char; 2]) {
    let plan = plan();
    if plan.record.is_null() {
        return;
    }
    let mut line = [0u8; 9000];
    let mut length = 0;
    let mut push = |bytes: &[u8]| {
        let end = (length + bytes.len()).min(line.len());
        line[length..end].copy_from_slice(&bytes[..end - length]);
        length = end;
    };
    push(&[letter, b'\t']);
    let mut digits = [0u8; 24];
    push(decimal(number, &mut digits));
    for path in paths.into_iter().filter(|path| !path.is_null()) {
        push(b"\t");
        // SAFETY: the caller's.
        push(unsafe { CStr::from_ptr(path) }.to_bytes());
    }
    push(b"\n");
    let mut file = RECORD.load(SeqCst) as c_int;
    // SAFETY: paths end with a zero, and buffers are as long as is said.
    unsafe {
        if file == 0 {
            // O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
            file = real!("open64", Open)(plan.record, 0o1 | 0o100 | 0o2000 | 0o2000000, 0o644 as c_uint);
            RECORD.store(i64::from(file), SeqCst);
        }
        real!("write", Write)(file, line.as_ptr().cast(), length);
    }
}

fn decimal(number: i64, digits: &mut [u8; 24]) -> &[u8] {
    let (mut rest, mut at) = (number.unsigned_abs(), digits.len());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    &digits[at..]
}

/// What happens to this call, in place of it: an errno, −2 or nothing.
fn struck(letter: u8) -> Option<i64> {
    let plan = plan();
    // SAFETY: nulls are paths that are not there.
    unsafe { record(b'#', i64::from(letter), [std::ptr::null(); 2]) };
    if plan.at == 0 || plan.calls.is_null() {
        return None;
    }
    // SAFETY: what `getenv` returns ends with a zero.
    if !unsafe { CStr::from_ptr(plan.calls) }.to_bytes().contains(&letter) {
        return None;
    }
    let now = COUNT.fetch_add(1, SeqCst) + 1;
    if now != plan.at && (plan.lasts == 0 || now < plan.at) {
        return None;
    }
    if plan.what == -1 {
        // SAFETY: of this process.
        unsafe {
            kill(getpid(), 9);
        }
        loop {
            std::hint::spin_loop();
        }
    }
    Some(plan.what)
}

/// The error of a call that fails; nothing where only a part is to be done, which is for reads and writes.
fn failed(what: Option<i64>) -> bool {
    match what {
        Some(errno) if errno > 0 => {
            // SAFETY: the thread's own.
            unsafe { *__errno_location() = errno as c_int };
            true
        }
        _ => false,
    }
}

/// How many bytes are taken.
fn part(length: usize, what: Option<i64>) -> usize {
    if what == Some(-2) { length.div_ceil(2) } else { length }
}

/// One thing at a time, so that the record has the order of what was done.
struct Alone;

impl Alone {
    fn now() -> Self {
        while LOCK.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
            std::hint::spin_loop();
        }
        Self
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        LOCK.store(0, SeqCst);
    }
}

/// # Safety
/// `path` ends with a zero, and `open` opens it.
unsafe fn opened(path: *const c_char, flags: c_int, open: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the caller's.
    if !unsafe { is_path_ours(path) } {
        return open();
    }
    let _alone = Alone::now();
    if failed(struck(b'o')) {
        return -1;
    }
    let file = open();
    if let Some(slot) = usize::try_from(file).ok().and_then(|file| OPEN.get(file)) {
        slot.store(true, SeqCst);
        // SAFETY: the caller's. O_CREAT and O_TRUNC.
        unsafe {
            record(b'o', i64::from(file), [path, std::ptr::null()]);
            if flags & 0o1000 != 0 {
                record(b't', i64::from(file), [std::ptr::null(); 2]);
            }
        }
    }
    file
}

/// # Safety
/// As of `open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { opened(path, flags, || real!("open", Open)(path, flags, mode)) }
}

/// # Safety
/// As of `open64`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { opened(path, flags, || real!("open64", Open)(path, flags, mode)) }
}

/// # Safety
/// As of `openat`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { opened(path, flags, || real!("openat", OpenAt)(folder, path, flags, mode)) }
}

/// # Safety
/// As of `openat64`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { opened(path, flags, || real!("openat64", OpenAt)(folder, path, flags, mode)) }
}

/// # Safety
/// As of `close`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(file: c_int) -> c_int {
    let _alone = Alone::now();
    if is_ours(file) {
        OPEN[file as usize].store(false, SeqCst);
        unsafe { record(b'c', i64::from(file), [std::ptr::null(); 2]) };
    }
    unsafe { real!("close", OfFile)(file) }
}

/// # Safety
/// As of `read`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(file: c_int, to: *mut c_void, length: usize) -> isize {
    let what = if is_ours(file) { struck(b'r') } else { None };
    if failed(what) {
        return -1;
    }
    unsafe { real!("read", Read)(file, to, part(length, what)) }
}

/// A call that writes to a file, which `call` makes with what befalls it.
///
/// # Safety
/// That of the call.
unsafe fn writing(file: c_int, call: impl FnOnce(Option<i64>) -> isize) -> isize {
    if !is_ours(file) {
        return call(None);
    }
    let _alone = Alone::now();
    let what = struck(b'w');
    if failed(what) {
        return -1;
    }
    unsafe { record(b'w', i64::from(file), [std::ptr::null(); 2]) };
    call(what)
}

/// # Safety
/// As of `write`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(file: c_int, from: *const c_void, length: usize) -> isize {
    unsafe { writing(file, |what| real!("write", Write)(file, from, part(length, what))) }
}

/// # Safety
/// As of `pwrite64`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(file: c_int, from: *const c_void, length: usize, at: i64) -> isize {
    unsafe { writing(file, |what| real!("pwrite64", WriteAt)(file, from, part(length, what), at)) }
}

/// # Safety
/// As of `writev`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(file: c_int, parts: *const Part, count: c_int) -> isize {
    // A part of the bytes is that of the first part.
    let taken = |what| if what == Some(-2) { 1.min(count) } else { count };
    unsafe { writing(file, |what| real!("writev", WriteParts)(file, parts, taken(what))) }
}

/// # Safety
/// `sync` syncs the file.
unsafe fn synced(file: c_int, sync: impl FnOnce() -> c_int) -> c_int {
    if !is_ours(file) {
        return sync();
    }
    let _alone = Alone::now();
    if failed(struck(b's')) {
        return -1;
    }
    let done = sync();
    if done == 0 && !plan().record.is_null() {
        unsafe { snapshot(file) };
    }
    done
}

/// Copies what a file is now, since that is what a power failure leaves at least.
unsafe fn snapshot(file: c_int) {
    let number = SNAPSHOTS.fetch_add(1, SeqCst);
    let mut digits = [0u8; 24];
    let mut own = [0u8; 64];
    let text = decimal(i64::from(file), &mut digits);
    let start = b"/proc/self/fd/";
    own[..start.len()].copy_from_slice(start);
    own[start.len()..start.len() + text.len()].copy_from_slice(text);
    let mut name = [0u8; 5000];
    // SAFETY: buffers end with a zero, and are as long as is said.
    unsafe {
        let record_name = CStr::from_ptr(plan().record).to_bytes();
        let text = decimal(number, &mut digits);
        name[..record_name.len()].copy_from_slice(record_name);
        name[record_name.len()] = b'.';
        name[record_name.len() + 1..record_name.len() + 1 + text.len()].copy_from_slice(text);
        let from = real!("open64", Open)(own.as_ptr().cast(), 0o2000000, 0 as c_uint);
        // O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let to = real!("open64", Open)(name.as_ptr().cast(), 0o1 | 0o100 | 0o1000 | 0o2000000, 0o644 as c_uint);
        let mut buffer = [0u8; 16384];
        let is_folder = loop {
            let got = real!("read", Read)(from, buffer.as_mut_ptr().cast(), buffer.len());
            if got <= 0 {
                break got < 0;
            }
            real!("write", Write)(to, buffer.as_ptr().cast(), got as usize);
        };
        real!("close", OfFile)(from);
        real!("close", OfFile)(to);
        let file_number = decimal(i64::from(file), &mut digits);
        let mut text = [0u8; 32];
        text[..file_number.len()].copy_from_slice(file_number);
        record(if is_folder { b'd' } else { b's' }, number, [text.as_ptr().cast(), std::ptr::null()]);
    }
}

/// # Safety
/// As of `fsync`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(file: c_int) -> c_int {
    unsafe { synced(file, || real!("fsync", OfFile)(file)) }
}

/// # Safety
/// As of `fdatasync`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    unsafe { synced(file, || real!("fdatasync", OfFile)(file)) }
}

/// # Safety
/// As of `ftruncate64`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(file: c_int, length: i64) -> c_int {
    if is_ours(file) {
        let _alone = Alone::now();
        if failed(struck(b't')) {
            return -1;
        }
        unsafe { record(b'w', i64::from(file), [std::ptr::null(); 2]) };
    }
    unsafe { real!("ftruncate64", Truncate)(file, length) }
}

/// # Safety
/// The paths end with a zero, and `act` does what the letter says to them.
unsafe fn named(letter: u8, paths: [*const c_char; 2], act: impl FnOnce() -> c_int) -> c_int {
    if !unsafe { is_path_ours(paths[0]) } {
        return act();
    }
    let _alone = Alone::now();
    if failed(struck(letter)) {
        return -1;
    }
    let done = act();
    if done == 0 {
        unsafe { record(letter, 0, paths) };
    }
    done
}

/// # Safety
/// As of `rename`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { named(b'n', [from, to], || real!("rename", Rename)(from, to)) }
}

/// # Safety
/// As of `link`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { named(b'l', [from, to], || real!("link", Rename)(from, to)) }
}

/// # Safety
/// As of `unlink`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    unsafe { named(b'u', [path, std::ptr::null()], || real!("unlink", OfPath)(path)) }
}

/// # Safety
/// As of `unlinkat`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
    unsafe { named(b'u', [path, std::ptr::null()], || real!("unlinkat", OfPathAt)(folder, path, flags)) }
}

/// # Safety
/// As of `rmdir`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    unsafe { named(b'u', [path, std::ptr::null()], || real!("rmdir", OfPath)(path)) }
}

/// # Safety
/// As of `mkdir`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    unsafe { named(b'm', [path, std::ptr::null()], || real!("mkdir", Mkdir)(path, mode)) }
}
