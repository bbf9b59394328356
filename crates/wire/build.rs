//! Generates the Rust types, clients and servers of `proto/`, and the descriptor sets that reflection serves. Needs no
//! protoc: protox compiles the files.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost::Message;
use prost_types::FileDescriptorSet;

const PROTO: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let mut files = Vec::new();
    find(Path::new(PROTO), &mut files)?;
    files.sort();
    let all = protox::compile(&files, [PROTO])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for package in ["provisioning", "reconciliation", "connector"] {
        let set = closure(&all, &format!("xavyo/{package}/"));
        fs::write(out.join(format!("{package}.binpb")), set.encode_to_vec())?;
    }
    tonic_prost_build::configure()
        .btree_map(".")
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .skip_debug([".xavyo.provisioning.v1.ConnectorSecrets"])
        .include_file("xavyo.rs")
        .compile_fds_with_config(all, names())?;
    Ok(())
}

/// Every message knows its full name: page tokens are bound to it.
fn names() -> tonic_prost_build::Config {
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    config
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

/// The files of one folder with everything that they import.
fn closure(all: &FileDescriptorSet, folder: &str) -> FileDescriptorSet {
    let mut needed: BTreeSet<&str> = all
        .file
        .iter()
        .map(prost_types::FileDescriptorProto::name)
        .filter(|name| name.starts_with(folder))
        .collect();
    // Imports come before their importers in the set, so one walk from the end finds them all.
    for file in all.file.iter().rev() {
        if needed.contains(file.name()) {
            needed.extend(file.dependency.iter().map(String::as_str));
        }
    }
    let file = all.file.iter().filter(|file| needed.contains(file.name())).cloned().collect();
    FileDescriptorSet { file }
}
