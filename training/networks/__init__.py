"""Classifiers: modules from inputs in the data's own range to logits `(B, C)`, named for configurations."""

from training.networks.adapters import OneLogit, ToImageNetInput
from training.networks.batch_norm import FrozenBatchNorm, set_batch_norm
from training.networks.build import build_network
from training.networks.class_mapping import ClassMapping
from training.networks.deepmind import dm_preact_resnet18, dm_wide_resnet
from training.networks.libraries import FoundNetwork, find_network
from training.networks.normalization import Normalization, Normalized
from training.networks.preact import (
    preact_resnet18,
    wide_resnet,
    wide_resnet28_10,
    wide_resnet34_10,
    wide_resnet_with_biases,
)
from training.networks.resnet import resnet18, resnet18_cifar, resnet34_cifar, resnet50_cifar
from training.networks.small import MLP, SmallCNN, logistic_regression
from training.networks.transformers import swin_adapters, vit_adapters

__all__ = [
    "MLP",
    "ClassMapping",
    "FoundNetwork",
    "FrozenBatchNorm",
    "Normalization",
    "Normalized",
    "OneLogit",
    "SmallCNN",
    "ToImageNetInput",
    "build_network",
    "dm_preact_resnet18",
    "dm_wide_resnet",
    "find_network",
    "logistic_regression",
    "preact_resnet18",
    "resnet18",
    "resnet18_cifar",
    "resnet34_cifar",
    "resnet50_cifar",
    "set_batch_norm",
    "swin_adapters",
    "vit_adapters",
    "wide_resnet",
    "wide_resnet28_10",
    "wide_resnet34_10",
    "wide_resnet_with_biases",
]
