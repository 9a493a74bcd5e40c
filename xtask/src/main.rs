//! The repository's own tasks, where a shell script would grow: `cargo xtask TASK`. The Makefile is their index.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tasks talk to people")]

mod demo;
mod install;
mod package;
mod prepare;
mod reproduce;
mod steps;
mod test;
mod test_image;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  demo        a cluster of this one machine that runs a task, from nothing
  demo-stop   the end of it, with nothing left behind
  prepare     installs what the tests need and this machine lacks
  prepare build
              only what building needs
  test        every test, two test beds at a time
  test-image  the image of a host, made by Packer and booted as a virtual machine that joins and runs a task:
              test-image [--programs DIRECTORY] [--accelerator kvm|tcg]
  package     packages for Debian and for distributions with RPM, in target/packages:
              package [--programs DIRECTORY] [--into DIRECTORY] [--version VERSION] [--quick]
  images      images FROM scratch for `docker load`, in target/images:
              images [--programs DIRECTORY] [--into DIRECTORY] [--version VERSION]
  reproduce   the static programs built here and in a clone elsewhere, and whether they are the same, byte by byte; takes an hour";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["demo"] => demo::start(),
        ["demo-stop"] => demo::stop(),
        ["prepare"] => prepare::machine(),
        ["prepare", "build"] => prepare::build(),
        ["test"] => test::all(),
        ["test-image", arguments @ ..] => test_image::check(arguments),
        ["package", arguments @ ..] => package::all(arguments),
        ["images", arguments @ ..] => package::images(arguments),
        ["reproduce"] => reproduce::check(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
