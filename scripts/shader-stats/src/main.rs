//! What a GPU's compiler makes of the kernels, without a GPU: Mesa's RADV compiles for AMD's families on its null
//! device.

mod assembly;
mod driver;
mod plan;
mod spirv;
mod table;

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::driver::Driver;
use crate::plan::{SIZES, left_out, planned, trainings};
use crate::table::{Report, plan_table, table};

const HELP: &str = "\
Prints what Mesa's compiler for AMD makes of every kernel that the plan chooses on a hardware GPU.

Usage: shader-stats [OPTIONS] [FAMILY]...

FAMILY is a name that Mesa knows, such as polaris10, vega10, navi10 or navi21 (the default).

  --size SIZE,SIZE    of S, M, L, C, as in bptt bench; odd: sizes that divide into nothing; options: every kernel and
                      setting; halves: the same at half precision [default: all]
  --plan              print instead what the plan makes of a training step at the sizes of bptt bench; needs no driver
  --assembly FOLDER   write each kernel's assembly to FOLDER/FAMILY
  --waits             fail too if a turn of a recurrent step's product waits for memory more than once
  --driver FILE.json  the manifest of the driver [default: that of the installed RADV]

The exit status is 1 if a kernel spills registers or uses scratch memory on any family, and 2 if something else fails.

The table's loop is the innermost one that has the most multiply-adds, and `around` is the loop around it, without what
is within; figures are of one turn. Loads are from memory, by bytes a lane. A wait counts if it is for a load that the
same turn has issued since the last wait that counts.

In the table of --plan, figures of a recurrent step are of one step forward, and of one backward: its workgroups, how
often a thread waits for something from memory before it can ask for the next, and the bytes of W_hh that all
workgroups read together, cached or not.
";

/// The statistics that head an assembly.
const HEADER: [&str; 8] = [
    "VGPRs",
    "SGPRs",
    "Spilled VGPRs",
    "Spilled SGPRs",
    "Scratch size",
    "LDS size",
    "Subgroups per SIMD",
    "Instructions",
];

struct Options {
    families: Vec<String>,
    sizes: Vec<&'static str>,
    plan: bool,
    assembly: Option<PathBuf>,
    waits: bool,
    driver: Option<PathBuf>,
    /// Whether the environment is that of the one family: see [`run`].
    prepared: bool,
}

/// The flag of [`Options::prepared`], which is this program's own.
const PREPARED: &str = "--prepared";

fn main() -> ExitCode {
    let done = parse().and_then(|options| match options {
        Some(options) => run(&options),
        None => {
            print!("{HELP}");
            Ok(true)
        }
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("shader-stats: {error}");
            ExitCode::from(2)
        }
    }
}

/// The command line; `None` for `--help`.
fn parse() -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options {
        families: Vec::new(),
        sizes: SIZES.to_vec(),
        plan: false,
        assembly: None,
        waits: false,
        driver: None,
        prepared: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value: see --help"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--size" => {
                let known = |name: &str| SIZES.into_iter().find(|size| *size == name);
                let of = |name: &str| known(name).ok_or_else(|| format!("--size is {name}, not one of {SIZES:?}"));
                options.sizes = value()?.split(',').map(of).collect::<Result<_, _>>()?;
            }
            "--assembly" => options.assembly = Some(value()?.into()),
            "--driver" => options.driver = Some(value()?.into()),
            "--waits" => options.waits = true,
            "--plan" => options.plan = true,
            PREPARED => options.prepared = true,
            flag if flag.starts_with('-') => return Err(format!("there is no {flag}: see --help").into()),
            family => options.families.push(family.into()),
        }
    }
    if options.families.is_empty() {
        options.families.push("navi21".into());
    }
    Ok(Some(options))
}

/// Compiles for each family, and returns whether all is well. A process loads the driver once, and the driver then reads
/// the family from the environment, so each family has a process of its own.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    if options.plan {
        print!("{}", plan_table(&trainings(&options.sizes)?));
        return Ok(true);
    }
    if let ([family], true) = (options.families.as_slice(), options.prepared) {
        return compile(family, options);
    }
    let driver = options.driver.clone().map_or_else(installed_driver, Ok)?;
    let mut good = true;
    for family in &options.families {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([PREPARED, family, "--size", &options.sizes.join(",")]);
        command.args(options.waits.then_some("--waits"));
        if let Some(folder) = &options.assembly {
            command.arg("--assembly").arg(folder);
        }
        command.env("RADV_FORCE_FAMILY", family).env("MESA_SHADER_CACHE_DISABLE", "true");
        // Loaders before 1.3.207 know the second name alone.
        command.env("VK_DRIVER_FILES", &driver).env("VK_ICD_FILENAMES", &driver);
        match command.status()?.code() {
            Some(0) => {}
            Some(1) => good = false,
            _ => return Err(format!("{family} could not be compiled for: see above").into()),
        }
    }
    Ok(good)
}

/// The manifest of RADV where packages put it.
fn installed_driver() -> Result<PathBuf, Box<dyn Error>> {
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found: Vec<PathBuf> =
        files.map(|file| file.path()).filter(|path| name(path).starts_with("radeon_icd")).collect();
    found.sort();
    let missing = "no radeon_icd.*.json in /usr/share/vulkan/icd.d: install Mesa's Vulkan drivers \
                   (scripts/install-mesa radv), or name the manifest with --driver";
    Ok(found.into_iter().next().ok_or(missing)?)
}

/// Compiles for one family, which the environment names too, prints the table, and returns whether all is well.
fn compile(family: &str, options: &Options) -> Result<bool, Box<dyn Error>> {
    let kernels = planned(&options.sizes)?;
    let begun = Instant::now();
    let driver = Driver::open().map_err(|error| format!("{family}: {error}"))?;
    let mut reports = Vec::new();
    for kernel in &kernels {
        let named = |error: Box<dyn Error>| format!("{family}: {}: {error}", kernel.compiled.name);
        let module = spirv::translate(&kernel.compiled).map_err(named)?;
        let compiled = driver.compile(&kernel.compiled.entry, &module).map_err(named)?;
        let loops = assembly::inner_loops(&compiled.assembly, driver.counts_stores_apart);
        let loops = loops.map_err(|error| named(error.into()))?;
        reports.push(Report { kernel, group: module.group, compiled, loops });
    }
    println!("{family}: {}, {} pipelines\n\n{}", driver.name, reports.len(), table(&reports)?);
    eprintln!("{family}: {:.1} s", begun.elapsed().as_secs_f64());
    if let Some(folder) = &options.assembly {
        write(&folder.join(family), &driver.name, &reports)?;
    }
    let complaints = complaints(&reports, options)?;
    complaints.iter().for_each(|complaint| eprintln!("shader-stats: {family}: {complaint}"));
    Ok(complaints.is_empty())
}

/// The failures, in words.
fn complaints(reports: &[Report<'_>], options: &Options) -> Result<Vec<String>, String> {
    let mut complaints = Vec::new();
    for report in reports {
        let compiled = &report.kernel.compiled;
        let what = format!("{} of {}", compiled.name, report.kernel.sizes.join(" "));
        let (spills, scratch) = report.spills()?;
        if spills + scratch > 0 {
            complaints.push(format!("{what} spills {spills} registers and uses {scratch} bytes of scratch memory"));
        }
        let waits = report.most_waits();
        if options.waits && compiled.entry.is_recurrent_step() && waits > 1 {
            complaints.push(format!("{what} waits for memory {waits} times in a turn of a loop, and once is allowed"));
        }
    }
    // Of fewer sizes, some kernel is always left out.
    if options.sizes.contains(&"options") {
        let kernels: Vec<_> = reports.iter().map(|report| report.kernel).collect();
        complaints.extend(left_out(&kernels).into_iter().map(|label| {
            format!("no network uses {label}: add one that does to `options` in scripts/shader-stats/src/plan.rs")
        }));
    }
    Ok(complaints)
}

/// Writes each kernel's assembly, numbered among those of its name.
fn write(folder: &Path, driver: &str, reports: &[Report<'_>]) -> Result<(), Box<dyn Error>> {
    let failed = |path: &Path, error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for report in reports {
        let compiled = &report.kernel.compiled;
        let number = numbers.entry(&compiled.name).or_default();
        *number += 1;
        let constants: Vec<String> = compiled.constants.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut text = format!(
            "; {driver}\n; {} of {}: {}\n; workgroup {:?}\n",
            compiled.name,
            report.kernel.sizes.join(" "),
            constants.join(" "),
            report.group
        );
        for name in HEADER {
            text += &format!("; {name}: {}\n", report.compiled.statistic(name)?);
        }
        let path = folder.join(format!("{}.{number}.s", compiled.name.replace(' ', "_")));
        fs::write(&path, text + "\n" + &report.compiled.assembly).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
