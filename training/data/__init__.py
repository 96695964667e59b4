"""Data sets: each states its bounds, class names, shape and splits, and its exact residual where one is known."""

from training.data.arrays import Arrays
from training.data.augmentation import Augmentation
from training.data.cifar import CIFAR10, CIFAR100
from training.data.dataset import DataSet
from training.data.digits import Digits
from training.data.folders import ImageFolders, TinyImageNet
from training.data.given import GivenData, data_set_of
from training.data.hdf5 import HDF5Images
from training.data.huggingface_data import HuggingFaceData
from training.data.image_table import ImageTable
from training.data.mnist import MNIST, MNISTPair
from training.data.planted import Planted
from training.data.spheres import Spheres
from training.data.split import Batch, LazySplit, Split, SplitName
from training.data.squares import Squares
from training.data.tabular import Tabular
from training.data.tar_data import TarData
from training.data.torch_data import TorchData
from training.data.torchvision_data import TorchvisionData

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Arrays",
    "Augmentation",
    "Batch",
    "DataSet",
    "Digits",
    "GivenData",
    "HDF5Images",
    "HuggingFaceData",
    "ImageFolders",
    "ImageTable",
    "LazySplit",
    "MNISTPair",
    "Planted",
    "Spheres",
    "Split",
    "SplitName",
    "Squares",
    "Tabular",
    "TarData",
    "TinyImageNet",
    "TorchData",
    "TorchvisionData",
    "data_set_of",
]
