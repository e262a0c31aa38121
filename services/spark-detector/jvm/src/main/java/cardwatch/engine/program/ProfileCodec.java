package cardwatch.engine.program;

import cardwatch.engine.event.ByteReader;
import cardwatch.engine.event.ByteWriter;
import java.util.ArrayList;
import java.util.List;

/** Profiles as bytes. */
public final class ProfileCodec {
  private ProfileCodec() {}

  /** Write a profile. */
  public static void write(ByteWriter writer, Profile profile) {
    for (ProfileField field : ProfileField.values()) {
      writer.octet(profile.isNull(field) ? 0 : 1);
      if (!profile.isNull(field)) {
        write(writer, profile, field);
      }
    }
  }

  /** Read the profile that comes next. */
  public static Profile read(ByteReader reader) {
    Profile.Builder builder = new Profile.Builder();
    for (ProfileField field : ProfileField.values()) {
      if (reader.octet() != 0) {
        read(reader, builder, field);
      }
    }
    return builder.build();
  }

  private static void write(ByteWriter writer, Profile profile, ProfileField field) {
    switch (field.type()) {
      case INTEGER -> writer.signed(profile.integer(field));
      case DOUBLE -> writer.number(profile.number(field));
      case TEXTS -> {
        writer.unsigned(profile.texts(field).size());
        profile.texts(field).forEach(writer::text);
      }
      case INTEGERS -> {
        writer.unsigned(profile.integers(field).size());
        profile.integers(field).forEach(writer::signed);
      }
      default -> throw new IllegalStateException(field + " is of no type that profiles have");
    }
  }

  private static void read(ByteReader reader, Profile.Builder builder, ProfileField field) {
    switch (field.type()) {
      case INTEGER -> builder.integer(field, reader.signed());
      case DOUBLE -> builder.number(field, reader.number());
      case TEXTS -> {
        List<String> texts = new ArrayList<>();
        for (int left = reader.count(); left > 0; left--) {
          texts.add(reader.text());
        }
        builder.texts(field, texts);
      }
      case INTEGERS -> {
        List<Long> integers = new ArrayList<>();
        for (int left = reader.count(); left > 0; left--) {
          integers.add(reader.signed());
        }
        builder.integers(field, integers);
      }
      default -> throw new IllegalStateException(field + " is of no type that profiles have");
    }
  }
}
