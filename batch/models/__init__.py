"""The models folder: pulling models, exporting them to ONNX, and finding them."""
