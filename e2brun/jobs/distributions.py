"""Which package to install for a module to import, where the two names differ.

What is not in here is installed under its own name. Namespace packages are listed by their
dotted names, or by a rule for the whole namespace.
"""

from __future__ import annotations

DISTRIBUTIONS = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "Cryptodome": "pycryptodomex",
    "MySQLdb": "mysqlclient",
    "OpenGL": "PyOpenGL",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "Xlib": "python-xlib",
    "_cffi_backend": "cffi",
    "_pytest": "pytest",
    "_yaml": "PyYAML",
    "absl": "absl-py",
    "apt": "python-apt",
    "argon2": "argon2-cffi",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cairo": "pycairo",
    "cv2": "opencv-python-headless",  # the other one needs libGL, which no sandbox has
    "dateutil": "python-dateutil",
    "deprecate": "pyDeprecate",
    "discord": "discord.py",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "editor": "python-editor",
    "faiss": "faiss-cpu",
    "ffmpeg": "ffmpeg-python",
    "fitz": "pymupdf",
    "git": "GitPython",
    "github": "PyGithub",
    "gitlab": "python-gitlab",
    "google.auth": "google-auth",
    "google.generativeai": "google-generativeai",
    "google.genai": "google-genai",
    "google.oauth2": "google-auth",
    "google.protobuf": "protobuf",
    "google.api_core": "google-api-core",
    "google.colab": "",  # only there
    "googleapiclient": "google-api-python-client",
    "grpc": "grpcio",
    "grpc_status": "grpcio-status",
    "haystack": "haystack-ai",
    "hydra": "hydra-core",
    "igraph": "python-igraph",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "keycloak": "python-keycloak",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "markdown_it": "markdown-it-py",
    "mpl_toolkits": "matplotlib",
    "multipart": "python-multipart",
    "nacl": "PyNaCl",
    "nmap": "python-nmap",
    "newspaper": "newspaper3k",
    "opentelemetry": "opentelemetry-api",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "osgeo": "GDAL",
    "pkg_resources": "setuptools<81",  # 81 announced, and later dropped, the module
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",  # the plain one has no wheel for Linux
    "pylab": "matplotlib",
    "pythonjsonlogger": "python-json-logger",
    "pyximport": "Cython",
    "pythoncom": "",
    "pywt": "PyWavelets",
    "rest_framework": "djangorestframework",
    "rpds": "rpds-py",
    "ruamel": "ruamel.yaml",
    "ruamel.yaml": "ruamel.yaml",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sksparse": "scikit-sparse",
    "slugify": "python-slugify",
    "snappy": "python-snappy",
    "socketio": "python-socketio",
    "engineio": "python-engineio",
    "socks": "PySocks",
    "speech_recognition": "SpeechRecognition",
    "tabula": "tabula-py",
    "telegram": "python-telegram-bot",
    "umap": "umap-learn",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "win32api": "",  # Windows
    "win32con": "",
    "wx": "wxPython",
    "xdg": "pyxdg",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}

NAMESPACES = ("azure", "google.cloud", "zope", "sphinxcontrib", "backports", "jaraco")
"""`azure.storage.blob` may come from azure-storage-blob: the longest name the source gives."""

DOTTED = frozenset({"zope", "backports", "jaraco"})
"""Those whose packages are spelled with a dot."""

REMOVED_MODULES: dict[str, tuple[tuple[int, int], str]] = {
    "asynchat": ((3, 12), "pyasynchat"),
    "asyncore": ((3, 12), "pyasyncore"),
    "distutils": ((3, 12), "setuptools"),
    "imp": ((3, 12), ""),
    "smtpd": ((3, 12), "standard-smtpd"),
    "aifc": ((3, 13), "standard-aifc"),
    "audioop": ((3, 13), "audioop-lts"),
    "cgi": ((3, 13), "legacy-cgi"),
    "cgitb": ((3, 13), "legacy-cgi"),
    "chunk": ((3, 13), "standard-chunk"),
    "crypt": ((3, 13), "standard-crypt"),
    "imghdr": ((3, 13), "standard-imghdr"),
    "lib2to3": ((3, 13), ""),
    "mailcap": ((3, 13), "standard-mailcap"),
    "msilib": ((3, 13), ""),
    "nis": ((3, 13), ""),
    "nntplib": ((3, 13), "standard-nntplib"),
    "ossaudiodev": ((3, 13), ""),
    "pipes": ((3, 13), "standard-pipes"),
    "sndhdr": ((3, 13), "standard-sndhdr"),
    "spwd": ((3, 13), ""),
    "sunau": ((3, 13), "standard-sunau"),
    "telnetlib": ((3, 13), "standard-telnetlib"),
    "uu": ((3, 13), "standard-uu"),
    "xdrlib": ((3, 13), "standard-xdrlib"),
}
"""Standard library modules: gone since which Python, and the package that has them now."""

ADDED_MODULES = {
    "graphlib": (3, 9),
    "zoneinfo": (3, 9),
    "tomllib": (3, 11),
    "annotationlib": (3, 14),
    "compression": (3, 14),
}
"""Standard library modules: there since which Python. No package has them for an older one."""
