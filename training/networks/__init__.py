"""Classifiers: modules from inputs in the data's own range to logits `(B, C)`, named for configurations."""

from training.networks.adapters import OneLogit, ToImageNetInput
from training.networks.batch_norm import FrozenBatchNorm, set_batch_norm
from training.networks.build import build_network
from training.networks.preact import preact_resnet18, wide_resnet, wide_resnet28_10, wide_resnet34_10
from training.networks.resnet import resnet18, resnet18_cifar, resnet34_cifar
from training.networks.small import MLP, SmallCNN, logistic_regression
from training.networks.transformers import swin_adapters, vit_adapters

__all__ = [
    "MLP",
    "FrozenBatchNorm",
    "OneLogit",
    "SmallCNN",
    "ToImageNetInput",
    "build_network",
    "logistic_regression",
    "preact_resnet18",
    "resnet18",
    "resnet18_cifar",
    "resnet34_cifar",
    "set_batch_norm",
    "swin_adapters",
    "vit_adapters",
    "wide_resnet",
    "wide_resnet28_10",
    "wide_resnet34_10",
]
