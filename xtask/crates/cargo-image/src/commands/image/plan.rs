//! The plan of `cargo xtask image`.

use anyhow::Result;

use super::{EngineFlag, Flags};
use crate::image::base::{BaseName, top_of};
use crate::image::buildx::{self, BaseArgument};
use crate::image::inputs::{Engine, ImageInputs};
use crate::image::verify::Verify;
use crate::image::work::ImageStep;
use cli_support::plan::Plan;
use cli_support::process::Cmd;
use oci_image::layout::Layout;
use rust_workspace::binary::Build;

impl Flags {
    /// The steps for these inputs.
    pub(super) fn plan(&self, inputs: &ImageInputs) -> Result<Plan<ImageStep>> {
        let mut plan = Plan::new("image");
        let settings = &inputs.workspace.settings;
        let base = self.base.as_deref().unwrap_or(&settings.base);
        plan.step("base", format!("the base image: {base}"), [base], ImageStep::Base(inputs.base.clone()));
        match inputs.engine {
            Engine::Native => inputs.build_work().plan(&mut plan, ImageStep::Build),
            Engine::Buildx => self.plan_buildx(inputs, &mut plan)?,
        }
        let content =
            settings.files.iter().map(|file| file.source.clone()).chain([inputs.package.binary.clone()]);
        plan.step(
            "layers",
            "files and binary, sorted, with fixed owner, mode and time",
            content,
            ImageStep::Assemble,
        );
        let output = self.output(inputs);
        plan.step(
            "layout",
            format!("replace the image in {} atomically", output.display()),
            ["layers"],
            ImageStep::Write,
        );
        if self.pin {
            let reason =
                format!("write the base image with its digest into {}", rust_workspace::settings::file());
            plan.step("pin", reason, ["base"], ImageStep::Pin(inputs.workspace.root.clone()));
        }
        let budgets = settings.budgets;
        if self.verify && (budgets.compressed.is_some() || budgets.seconds.is_some()) {
            let reason = "check the budgets before the second build";
            plan.step("budget", reason, ["layout"], ImageStep::Budget(budgets));
        }
        if self.verify {
            let (verify, reason) =
                (Self::verify(inputs), "the same source in another folder must give the same bytes");
            plan.step("verify", reason, ["source"], verify);
        }
        if let Some(path) = self.archive_path(inputs) {
            let reason = "an archive for docker load, podman load and skopeo";
            plan.step("archive", reason, [output.display().to_string()], ImageStep::Archive(path));
        }
        if let (Some(loader), Some(path)) = (inputs.loader, self.archive_path(inputs)) {
            let cmd = Cmd::new(loader).args(["load", "--input"]).arg(&path);
            plan.step(
                "load",
                format!("load the image into {loader}"),
                [path.display().to_string()],
                ImageStep::Load(cmd),
            );
        }
        Ok(plan)
    }

    fn plan_buildx(&self, inputs: &ImageInputs, plan: &mut Plan<ImageStep>) -> Result<()> {
        let options = self.buildx.over(&inputs.workspace.settings.buildx)?;
        let made = inputs.package.target_dir.join("xtask").join("buildx.tar");
        let base = match &inputs.base {
            BaseName::Scratch => BaseArgument::Name("scratch".to_owned()),
            BaseName::Registry(reference) => BaseArgument::Name(reference.to_string()),
            BaseName::Layout(dir, digest) => {
                let layout = Layout::open(dir)?;
                BaseArgument::Layout(dir.clone(), top_of(&layout, digest.as_ref())?.digest)
            }
        };
        let labels = inputs.labels();
        let request = buildx::Request {
            root: &inputs.workspace.root,
            output: &made,
            platforms: &inputs.platforms,
            options: &options,
            labels: &labels,
            epoch: inputs.source.time,
            base,
        };
        let inputs = [options.dockerfile.as_str(), "source"];
        let mut reason = "the Dockerfile's build stage runs cargo xtask binary for each platform".to_owned();
        if self.engine == EngineFlag::Auto {
            reason.push_str("; if its images cannot be pulled, the native engine builds instead");
        }
        plan.step("buildx", reason, inputs, ImageStep::Buildx(buildx::command(&request), made.clone()));
        let reason = "both engines must make the same image";
        plan.step("import", reason, [made.display().to_string()], ImageStep::Import(made));
        Ok(())
    }

    fn verify(inputs: &ImageInputs) -> ImageStep {
        let copy = inputs.package.target_dir.join("xtask").join("verify-source");
        let own = inputs.build();
        // Packages of the repository beside the workspace belong to the source.
        let source = own.repository.clone().unwrap_or_else(|| inputs.package.root.clone());
        let root =
            inputs.package.root.strip_prefix(&source).map_or_else(|_| copy.clone(), |below| copy.join(below));
        let repository = own.repository.as_ref().map(|_| copy.clone());
        let build = Build { target_dir: root.join("target"), root, repository, ..own };
        let command = build.command(&inputs.targets, &inputs.toolchain);
        ImageStep::Verify(Verify { source, copy, build, command })
    }
}
