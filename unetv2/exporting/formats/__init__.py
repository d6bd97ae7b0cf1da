"""Export formats, one module each.

To add a format, write ``formats/<name>.py`` with a subclass of
:class:`~unetv2.exporting.formats.base.ExportFormat` and its instance ``FORMAT``, and add its name
to ``FORMATS``.
"""

# A module is imported when its format is used, so that the command line can list the names at once.
FORMATS = ("saved_model", "litert", "onnx", "openvino")
