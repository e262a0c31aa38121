# The images of Cardwatch, one target each; the context is the repository's root and IMAGE is the target's name again:
#
#   docker build --target enricher --build-arg IMAGE=enricher .
#   docker build --target detector --build-arg IMAGE=detector --build-arg BASE=java .
#
# An image holds those packages of this repository that its own declares (scripts/image-requirements), and the
# third-party packages of requirements/images/IMAGE.txt, pinned with checksums. docker-compose.yml builds them all.

# What runs an image: python, or java, which adds the Java that Spark needs.
ARG BASE=python
# A digest (python@sha256:…) fixes the base image; the tag gets Debian's security updates with each build.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS python

# The package's scripts want the directory of manual pages, which slim images lack. Java has a trust store of its own:
# update-ca-certificates brings it the authorities that a company has added to its base image.
FROM python AS java
RUN mkdir -p /usr/share/man/man1 \
 && apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless \
 && update-ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s "java-17-openjdk-$(dpkg --print-architecture)" /usr/lib/jvm/java-17
ENV JAVA_HOME=/usr/lib/jvm/java-17

# The sources of the image's packages, apart from the others, whose changes then invalidate no layer below.
FROM python AS sources
WORKDIR /src
COPY scripts/image-requirements scripts/packages.py scripts/
COPY schemas schemas
COPY libs libs
COPY services services
COPY cli cli
ARG IMAGE
RUN mkdir /packages /downloader \
 && { echo schemas; python scripts/image-requirements "$IMAGE" packages; } | xargs -I {} cp -r --parents {} /packages \
 && { echo schemas; python scripts/image-requirements artifacts packages; } | xargs -I {} cp -r --parents {} /downloader

# The third-party packages come first: they change seldom, and their layer is kept.
FROM ${BASE} AS third-party
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends binutils \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
ARG IMAGE
COPY requirements/images/build.txt requirements/images/${IMAGE}.txt requirements/images/
RUN python -m venv /build \
 && python -m venv --without-pip /opt/cardwatch \
 && /build/bin/pip install --quiet --require-hashes -r requirements/images/build.txt \
 && /build/bin/pip wheel --quiet --require-hashes --no-deps --no-build-isolation -w /wheels -r "requirements/images/$IMAGE.txt" \
 && /build/bin/pip --python /opt/cardwatch/bin/python install --quiet --no-deps --no-index /wheels/*.whl \
 && rm -r /wheels
COPY scripts/image-trim scripts/image-trim
RUN scripts/image-trim /opt/cardwatch

FROM third-party AS packages
COPY --from=sources /packages ./
RUN /build/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation -w /wheels $(dirname $(find . -name pyproject.toml)) \
 && /build/bin/pip --python /opt/cardwatch/bin/python install --quiet --no-deps --no-index /wheels/*.whl

# The bill of materials (CycloneDX): what was installed above, and what the base image consists of.
FROM ${BASE} AS base-packages
RUN dpkg-query -W -f '${Package}\t${Version}\t${Architecture}\n' > /debian-packages.tsv

FROM packages AS sbom
ARG IMAGE
COPY --from=base-packages /debian-packages.tsv ./
COPY scripts/sbom scripts/bill_of_materials.py scripts/image-requirements scripts/packages.py scripts/
COPY libs/platform/src/cardwatch_platform/artifacts.lock.json libs/platform/src/cardwatch_platform/
RUN /build/bin/python scripts/sbom "$IMAGE" --to /sbom --debian debian-packages.tsv --interpreter \
    --jars /opt/cardwatch/lib/python3.11/site-packages/pyspark/jars

FROM ${BASE} AS runtime
RUN groupadd --gid 10001 cardwatch \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/cardwatch --shell /usr/sbin/nologin cardwatch \
 && install -d -o cardwatch -g cardwatch /var/lib/cardwatch
COPY --from=packages /opt/cardwatch /opt/cardwatch
COPY --from=sbom /sbom /usr/share/sbom
ENV PATH=/opt/cardwatch/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
ARG IMAGE
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="cardwatch/$IMAGE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      cardwatch.sbom="/usr/share/sbom/cardwatch-$IMAGE.cdx.json"
USER 10001:10001
WORKDIR /var/lib/cardwatch
STOPSIGNAL SIGTERM

FROM runtime AS service
ENV CARDWATCH_METRICS_HOST=0.0.0.0 \
    CARDWATCH_METRICS_PORT=9100
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "cardwatch_service.probe"]

FROM service AS producer
LABEL org.opencontainers.image.description="Card transactions to Kafka: simulated ones, or those of a file"
ENTRYPOINT ["cardwatch-producer"]
CMD ["simulate", "--duration", "0"]

FROM service AS enricher
LABEL org.opencontainers.image.description="Builds the silver topic: decode, validate, enrich, or refuse with a reason"
ENTRYPOINT ["cardwatch-enricher"]

FROM service AS notifier
LABEL org.opencontainers.image.description="Delivers alerts from an outbox to people and webhooks"
ENTRYPOINT ["cardwatch-notifier"]
CMD ["run"]

FROM service AS snowflake-loader
LABEL org.opencontainers.image.description="Keeps the lakehouse's gold tables in Snowflake as they are in Delta"
ENTRYPOINT ["cardwatch-snowflake-loader"]
CMD ["run"]

# Its commands end by themselves, so there is no health to check.
FROM runtime AS cli
LABEL org.opencontainers.image.description="The cardwatch command: topics and schemas, rules, lists, alerts, tables, backtests"
HEALTHCHECK NONE
ENTRYPOINT ["cardwatch"]
CMD ["--help"]

# The jars that artifacts.lock.json names, with their checksums, by the code that the embedded platform has for it.
FROM third-party AS jars
COPY requirements/images/artifacts.txt requirements/images/
RUN /build/bin/pip --python /opt/cardwatch/bin/python install --quiet --require-hashes -r requirements/images/artifacts.txt
COPY --from=sources /downloader ./
ENV CARDWATCH_CACHE_DIR=/cache
RUN PYTHONPATH=$(echo libs/*/src | tr ' ' ':') /opt/cardwatch/bin/python -c "from cardwatch_platform.artifacts import load_lock; \
from cardwatch_platform.embedded import spark_classpath; \
from cardwatch_platform.settings import PlatformSettings; \
spark_classpath(PlatformSettings(), load_lock(), 's3')" \
 && mkdir /jars \
 && cp /cache/sets/*/*.jar /jars
# The rule engine, compiled from its sources against the classes of the image's own Java.
COPY scripts/engine scripts/
COPY services/spark-detector/jvm services/spark-detector/jvm
RUN PYTHONPATH=$(echo libs/*/src | tr ' ' ':') \
    /opt/cardwatch/bin/python scripts/engine jar /jars/cardwatch-engine.jar "$JAVA_HOME"

FROM service AS detector
LABEL org.opencontainers.image.description="Exact sliding velocity windows as Spark state, and the lakehouse queries"
# Beside Spark's own jars, where every JVM of Spark finds them and no Python worker looks.
COPY --from=jars /jars /opt/cardwatch/lib/python3.11/site-packages/pyspark/jars
COPY services/spark-detector/entrypoint /usr/local/bin/entrypoint
# For pods of Spark on Kubernetes (deploy/kubernetes), which call them in place of the entry point.
COPY services/spark-detector/kubernetes/entrypoint /opt/cardwatch/spark-entrypoint
COPY services/spark-detector/kubernetes/detector.py /opt/cardwatch/detector.py
ENV SPARK_LOCAL_DIRS=/var/lib/cardwatch/scratch \
    CARDWATCH_DETECTOR_CHECKPOINT_DIR=/var/lib/cardwatch/checkpoints/velocity \
    CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR=/var/lib/cardwatch/checkpoints/lakehouse \
    CARDWATCH_LAKEHOUSE_TABLES_DIR=/var/lib/cardwatch/tables
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 CMD ["python", "-m", "cardwatch_service.probe"]
ENTRYPOINT ["entrypoint"]
CMD ["velocity"]
