"""Networks that draw: residuals from images, and images from a latent vector and a class."""

from generators.networks.build import GENERATORS, build_generator
from generators.networks.conditional import ConditionalDiscriminator, ConditionalGenerator
from generators.networks.denoising import DenoisingNetwork
from generators.networks.film import FilmUNet
from generators.networks.residual_mlp import ResidualMLP
from generators.networks.unet import UNet

__all__ = [
    "GENERATORS",
    "ConditionalDiscriminator",
    "ConditionalGenerator",
    "DenoisingNetwork",
    "FilmUNet",
    "ResidualMLP",
    "UNet",
    "build_generator",
]
