//! Gradients of several batches as one step.

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Tensor};

/// Scale all gradients so that their joint Euclidean norm is at most `limit`; gives the norm before that.
pub(super) fn clip<B: AutodiffBackend, M: AutodiffModule<B>>(
    model: &M,
    grads: GradientsParams,
    limit: f64,
) -> (GradientsParams, f64) {
    let mut squares = SumOfSquares { grads: &grads, sum: 0.0 };
    model.visit(&mut squares);
    let norm = squares.sum.sqrt();
    if norm <= limit || !norm.is_finite() {
        return (grads, norm);
    }
    let mut scale = Scale { grads, factor: limit / norm };
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

/// The same weights as leaves of a graph of their own, so that several threads can differentiate at once.
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
