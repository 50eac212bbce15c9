//! `bptt init`, and what else is generated from the flags: completions and the manual.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bptt::Result;
use bptt::experiment::config::DataKind;
use bptt::experiment::files::folder::io_error;
use bptt::experiment::files::new_file;
use bptt::format::{path_text, shell_quoted};
use clap::{Args, Command, ValueHint};
use clap_mangen::Man;

use crate::cli::args;
use crate::cli::terminal::printed::{print_data, print_line};

#[derive(Args)]
pub(crate) struct InitArgs {
    /// New configuration file
    #[arg(default_value = "bptt.toml", value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete in
    shell: clap_complete::Shell,
}

#[derive(Args)]
pub(crate) struct ManArgs {
    /// Folder for one page per command, such as bptt-train.1
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

/// Writes a configuration with every key of `bptt train`, commented out.
pub(crate) fn init(args: &InitArgs) -> Result<()> {
    let path = &args.file;
    new_file::check("FILE", Some(path))?;
    new_file::write(path, template().as_bytes())?;
    let words = path_text(path);
    print_line(format!("{words}: every setting with its default; change what you need, then"));
    print_line("");
    print_line(format!("    bptt train --config {}", shell_quoted(path)));
    Ok(())
}

/// Every setting of `bptt train`, by section of a configuration file.
fn template() -> String {
    let mut text = String::from(
        "# Settings of `bptt train`. What is left out has its default. On the command line a setting is the flag of its\n\
         # name or, without one, --set SECTION.KEY=VALUE. `bptt train --config THIS --dump-config` prints the result.\n\n\
         # The data: the section of one kind, with its file. Without one the bundled sunspot numbers are learned.\n",
    );
    for section in args::SECTIONS {
        let is_data = DataKind::ALL.iter().any(|kind| kind.section() == section);
        let heading = if is_data { "# " } else { "" };
        let _ = write!(text, "\n{heading}[{section}]\n");
        for setting in args::section(section).unwrap_or_default() {
            let choices: Vec<&str> = setting.choices().collect();
            let _ = writeln!(text, "# {}", setting.help());
            if !choices.is_empty() {
                let _ = writeln!(text, "# One of {}", choices.join(", "));
            }
            let _ = writeln!(text, "# {} = {}", setting.key, setting.example());
        }
    }
    text
}

pub(crate) fn completions(args: &CompletionsArgs, program: &mut Command) {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, program, "bptt", &mut text);
    print_data(&format!("{}\n", String::from_utf8_lossy(&text).trim_end()));
}

pub(crate) fn man(args: &ManArgs, program: &Command) -> Result<()> {
    let mut program = program.clone().disable_help_subcommand(true);
    // Gives the subcommands their full names, which are those of their pages.
    program.build();
    let Some(folder) = &args.out else {
        print_data(&format!("{}\n", String::from_utf8_lossy(&one_page(&program)?).trim_end()));
        return Ok(());
    };
    let kinds = program.get_subcommands().flat_map(Command::get_subcommands);
    let commands = std::iter::once(&program).chain(program.get_subcommands()).chain(kinds);
    let pages: Vec<Man> = commands.cloned().map(Man::new).collect();
    let paths: Vec<PathBuf> = pages.iter().map(|page| folder.join(page.get_filename())).collect();
    // If one exists, none is written.
    paths.iter().try_for_each(|path| new_file::check_free("--out", path))?;
    std::fs::create_dir_all(folder).map_err(io_error(folder))?;
    pages.iter().zip(&paths).try_for_each(|(man, path)| new_file::write(path, &page(man)?))
}

/// The whole manual on one page, without references to other pages.
fn one_page(program: &Command) -> Result<Vec<u8>> {
    let failed = || io_error(Path::new("the manual page"));
    let mut text = Vec::new();
    let whole = Man::new(program.clone());
    whole.render_title(&mut text).map_err(failed())?;
    whole.render_name_section(&mut text).map_err(failed())?;
    whole.render_synopsis_section(&mut text).map_err(failed())?;
    whole.render_description_section(&mut text).map_err(failed())?;
    whole.render_extra_section(&mut text).map_err(failed())?;
    let with_kinds = |command: &Command| {
        std::iter::once(command.clone()).chain(command.get_subcommands().map(without_common)).collect::<Vec<_>>()
    };
    for command in program.get_subcommands().flat_map(with_kinds) {
        let man = Man::new(command.clone());
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part).map_err(failed())?;
        man.render_description_section(&mut part).map_err(failed())?;
        man.render_options_section(&mut part).map_err(failed())?;
        if command.get_after_long_help().is_some() {
            man.render_extra_section(&mut part).map_err(failed())?;
        }
        let name = format!(".SH \"{}\"\n", command.get_bin_name().unwrap_or(command.get_name()).to_uppercase());
        text.extend(name.bytes());
        // Sections of a separate page become subsections here.
        text.extend(String::from_utf8_lossy(&part).replace(".SH ", ".SS ").bytes());
    }
    whole.render_version_section(&mut text).map_err(failed())?;
    Ok(text)
}

/// A kind of data with only its own flags: shared flags are listed at the command.
fn without_common(kind: &Command) -> Command {
    kind.clone().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg })
}

fn page(man: &Man) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    man.render(&mut text).map_err(io_error(Path::new("the manual page")))?;
    Ok(text)
}
