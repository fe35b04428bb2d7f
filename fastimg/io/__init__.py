"""Reading and writing of files; one module a family of formats."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["cubes", "cxi", "images", "png", "raster", "responses"],
    submod_attrs={
        "cubes": ["Cube", "CubeWriter", "create_cube", "open_cube"],
        "cxi": ["CXIScan", "read_cxi", "write_cxi"],
        "images": ["read_images", "write_image"],
        "png": ["PNGImage", "read_png", "write_png"],
        "raster": ["Raster", "read_raster", "write_raster"],
        "responses": ["read_spectral_response"],
    },
)
