//! `watchfire plugin sign`: a component and what goes with it as a signed package.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use pack::{Label, PACKAGE};
use watchfire_package::{Manifest, Package, SigningKey};

use super::password::PasswordOptions;

/// Options of `plugin sign`.
#[derive(Args, Debug)]
pub struct Sign {
    /// The component, as `pack` makes it.
    #[arg(value_name = "COMPONENT.wasm")]
    component: PathBuf,
    /// The publisher's secret key, as `keygen` or minisign make it.
    #[arg(long, value_name = "FILE", required_unless_present = "unsigned")]
    key: Option<PathBuf>,
    /// The key's password.
    #[command(flatten)]
    password: PasswordOptions,
    /// Make a package without a signature; a gateway takes it where its configuration allows just these bytes.
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
    /// A file to put in as well, such as `sbom.cdx.json` or `LICENSE`; may be given again. What begins with `sbom.` is
    /// shown as its bill of materials.
    #[arg(long = "with", value_name = "FILE")]
    with: Vec<PathBuf>,
    /// Its name (default: what the component says).
    #[arg(long)]
    name: Option<String>,
    /// Its version (default: what the component says).
    #[arg(long)]
    version: Option<String>,
    /// Its licence (default: what the component says).
    #[arg(long)]
    licence: Option<String>,
    /// What it does, one sentence (default: what the component says).
    #[arg(long)]
    description: Option<String>,
    /// The folder to write the package to (default: the current one); its name is `NAME-VERSION.wfpkg`.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Makes a package and prints its name and its component's digest.
///
/// # Errors
/// When the component or a text is not good, the key cannot be used, or the package cannot be written.
pub fn sign(options: &Sign) -> Result<ExitCode> {
    let component = read(&options.component)?;
    let manifest = manifest(options, &component)
        .with_context(|| format!("`{}` cannot become a package", options.component.display()))?;
    let key = options.key.as_deref().map(|file| open(file, &options.password)).transpose()?;
    let mut others = Vec::new();
    for file in &options.with {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        others.push((name, read(file)?));
    }
    let (name, bytes) = watchfire_package::make(manifest, &component, &others, key.as_ref())?;
    let path = options.out.as_deref().unwrap_or(Path::new("")).join(name);
    pack::write_whole(&path, &bytes)?;
    let package = Package::read(&bytes)?;
    println!("{}  {}", package.digest, path.display());
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))
}

fn open(file: &Path, password: &PasswordOptions) -> Result<SigningKey> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let password = password.read()?;
    SigningKey::open(&text, password.as_deref()).with_context(|| format!("`{}`", file.display()))
}

/// What the options and the component say of it.
fn manifest(options: &Sign, component: &[u8]) -> Result<Manifest> {
    if pack::is_module(component) {
        bail!("it is a core module, not a component; turn it into one with `watchfire plugin pack IN.wasm OUT.wasm`");
    }
    let shape = pack::shape(component)?;
    let exported = |export: &String| Some(export.strip_prefix(PACKAGE)?.split_once('@')?.1.to_owned());
    let Some(contract) = shape.exports.iter().find_map(exported) else {
        bail!("it exports nothing of the detector contract; `watchfire plugin check` says more");
    };
    let label = Label::read(component)?;
    let said = |given: &Option<String>, own: Option<String>, option: &str| {
        given.clone().or(own).with_context(|| format!("it does not say its {option}; give `--{option}`"))
    };
    let name = said(&options.name, label.name, "name")?;
    let version = said(&options.version, label.version, "version")?;
    let licence = said(&options.licence, label.licence, "licence")?;
    let description = options.description.clone().or(label.description).unwrap_or_default();
    Ok(Manifest { description, ..Manifest::new(&name, &version, &licence, &contract) })
}
