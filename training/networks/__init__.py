"""Classifiers: modules from inputs in the data's own range to logits `(B, C)`, named for configurations."""

from training.networks.adapters import OneLogit, ToImageNetInput
from training.networks.build import build_network
from training.networks.resnet import resnet18, resnet18_cifar
from training.networks.small import MLP, SmallCNN

__all__ = ["MLP", "OneLogit", "SmallCNN", "ToImageNetInput", "build_network", "resnet18", "resnet18_cifar"]
