//! Embeds the symbols of a hypervisor image: `embed IN OUT`.

use std::error::Error;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("usage: embed IN OUT".into());
    };
    let image = hv_symbols::embed(&fs::read(from)?)?;
    println!("{to}: {} bytes", image.len());
    fs::write(to, image)?;
    Ok(())
}
