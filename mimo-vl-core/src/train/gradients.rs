//! Gradient clipping, and copies of a model for threads that differentiate at once.

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Tensor};

/// Scales all gradients so that their joint Euclidean norm is at most `max_norm`. Returns the norm before clipping.
pub(super) fn clip_grad_norm<B: AutodiffBackend, M: AutodiffModule<B>>(
    model: &M,
    grads: GradientsParams,
    max_norm: f64,
) -> (GradientsParams, f64) {
    let mut squares = SumOfSquares { grads: &grads, sum: 0.0 };
    model.visit(&mut squares);
    let norm = squares.sum.sqrt();
    if norm <= max_norm || !norm.is_finite() {
        return (grads, norm);
    }
    let mut scale = Scale { grads, factor: max_norm / norm };
    model.visit(&mut scale);
    (scale.grads, norm)
}

struct SumOfSquares<'a> {
    grads: &'a GradientsParams,
    sum: f64,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(grad) = self.grads.get::<B::InnerBackend, D>(param.id) {
            self.sum += grad.powf_scalar(2.0).sum().into_scalar().elem::<f64>();
        }
    }
}

struct Scale {
    grads: GradientsParams,
    factor: f64,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(grad) = self.grads.remove::<B::InnerBackend, D>(param.id) {
            self.grads.register(param.id, grad.mul_scalar(self.factor));
        }
    }
}

/// Copies a model with its parameters as leaves of a new autodiff graph, so that threads can differentiate at once.
pub(super) fn detached<B: AutodiffBackend, M: Module<B>>(model: &M) -> M {
    model.clone().map(&mut Detach)
}

struct Detach;

impl<B: AutodiffBackend> ModuleMapper<B> for Detach {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, _) = param.consume();
        Param::initialized(id, Tensor::from_inner(tensor.inner()).require_grad())
    }
}
