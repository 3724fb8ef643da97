"""Training outside of the database: rows that it exported go in, a model file with its manifest comes out.

The same perceptron, loss and split as models/learn, in numpy alone, for machines where the rows may go but no build of the
database is. The files are those of models/registry, byte for byte in their form: what the database would not accept is not written.
"""

from .model_file import Features, export
from .network import quantile_layers, predict
from .rows import Rows, read_rows
from .training import Options, Trained, train

__all__ = ["Features", "Options", "Rows", "Trained", "export", "predict", "quantile_layers", "read_rows", "train"]
