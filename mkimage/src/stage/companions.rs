//! Guests that come along with an appliance, on its disk's data partition: an image of each, and a
//! config that starts it by `xm create NAME`.

use crate::assemble::Output;
use crate::disk::content::{Files, Source};
use crate::error::Error;
use crate::guest;
use crate::hash::Hasher;
use crate::project::Project;
use crate::recipe::{Guest, Recipe};

/// Guests with their files on the data partition.
#[derive(Debug, Default)]
pub struct Companions {
    /// Images and configs, where the control domain looks for them.
    pub files: Files,
    /// Digests of what is in them.
    contents: Vec<String>,
}

impl Companions {
    /// Builds the images of some recipes, as far as that isn't done.
    ///
    /// # Errors
    /// When a recipe isn't one of a guest, or its image can't be built.
    pub fn prepare(project: &Project, recipes: &[String]) -> Result<Self, Error> {
        let mut companions = Self::default();
        for name in recipes {
            let recipe = project.recipe(name)?;
            let Some(guest) = &recipe.guest else {
                return Err(recipe.wrong("kind", "only a guest can come along").into());
            };
            let built = guest::build(project, &recipe, &Output::Cache)?;
            let config = config(&recipe, guest);
            companions.contents.extend([built.id.to_string(), config.clone()]);
            companions.files.extend([
                (format!("config/guests/{}.cfg", recipe.name), Source::Bytes(config.into_bytes())),
                (format!("images/{}.img", recipe.name), Source::Path(built.disk()?.to_owned())),
            ]);
        }
        Ok(companions)
    }

    /// Adds what they are to a digest; nothing if there are none.
    pub fn digest(&self, hasher: &mut Hasher) {
        for content in &self.contents {
            hasher.part(content);
        }
    }
}

/// A guest's config.
fn config(recipe: &Recipe, guest: &Guest) -> String {
    let name = &recipe.name;
    format!(
        "# {description}\nname = \"{name}\"\nbootloader = \"pvgrub\"\nmemory = {memory}\n\
         vcpus = {vcpus}\ndisk = ['file:/data/images/{name}.img,xvda,w']\nvif = ['']\n",
        description = recipe.description.replace('\n', " "),
        memory = guest.memory().bytes() >> 20,
        vcpus = guest.vcpus(),
    )
}
