"""A run packed for others: a MONAI bundle with model card and ONNX graphs, and the parts that MONAI runs it with."""
