"""Data sets: each states its bounds, class names, shape and splits, and its exact residual where one is known."""

from training.data.arrays import Arrays
from training.data.augmentation import Augmentation
from training.data.cifar import CIFAR10, CIFAR100
from training.data.dataset import DataSet
from training.data.digits import Digits
from training.data.folders import ImageFolders, TinyImageNet
from training.data.hdf5 import HDF5Images
from training.data.image_table import ImageTable
from training.data.mnist import MNIST, MNISTPair
from training.data.spheres import Spheres
from training.data.split import Batch, LazySplit, Split, SplitName
from training.data.squares import Squares
from training.data.tabular import Tabular

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Arrays",
    "Augmentation",
    "Batch",
    "DataSet",
    "Digits",
    "HDF5Images",
    "ImageFolders",
    "ImageTable",
    "LazySplit",
    "MNISTPair",
    "Spheres",
    "Split",
    "SplitName",
    "Squares",
    "Tabular",
    "TinyImageNet",
]
