//! The module that the optimizer works on.

use burn::module::Module;

use crate::kernels::Kernels;
use crate::model::VisionLanguageModel;

/// Model and objective as one module: the parameters of both are trained together.
#[derive(Module, Debug)]
pub(super) struct TrainModel<B: Kernels, O: Module<B>> {
    pub(super) model: VisionLanguageModel<B>,
    pub(super) objective: O,
}
