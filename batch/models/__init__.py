"""The models folder, and encoders as ONNX graphs."""
